//! A line of text that is being typed.

/// Longest line, in characters.
const MAX_LEN: usize = 1_000;

/// A line of text, and where the cursor is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Input {
    text: Vec<char>,
    cursor: usize,
}

impl Input {
    /// What was typed.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What was typed before the cursor.
    #[must_use]
    pub(crate) fn before_cursor(&self) -> String {
        self.text[..self.cursor].iter().collect()
    }

    /// Whether nothing is there.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes everything away.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Puts `text` in the place of all that is there.
    pub(crate) fn set(&mut self, text: &str) {
        self.clear();
        text.chars().for_each(|c| self.insert(c));
    }

    /// Puts a character at the cursor. What is no part of a line is left out.
    pub(crate) fn insert(&mut self, c: char) {
        if !c.is_control() && self.text.len() < MAX_LEN {
            self.text.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    /// Takes the character before the cursor away.
    pub(crate) fn backspace(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    /// Takes the character at the cursor away.
    pub(crate) fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Moves the cursor; it stays within the line.
    pub(crate) fn move_by(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_at_its_cursor() {
        let mut input = Input::default();
        input.set("ordér\n");
        assert_eq!(input.text(), "ordér");
        input.move_by(-2);
        input.backspace();
        input.insert('D');
        input.delete();
        assert_eq!((input.text(), input.before_cursor()), ("orDr".to_owned(), "orD".to_owned()));
        input.move_by(isize::MIN);
        input.backspace();
        input.move_by(isize::MAX);
        input.delete();
        assert_eq!(input.text(), "orDr");
    }
}
