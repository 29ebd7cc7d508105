// The host as a component sees it.

export { log } from "flowctl:processor/log@0.1.0";
export { counter } from "flowctl:processor/metrics@0.1.0";
