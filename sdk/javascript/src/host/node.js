// The host as tests in Node see it: lines go to stderr, counters nowhere.

export const log = (level, message) => console.error(`${level}: ${message}`);
export const counter = () => {};
