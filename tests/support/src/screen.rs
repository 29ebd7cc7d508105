//! Pictures of a terminal in the pages of the guide, held against what is really shown.

use std::path::Path;

/// A picture of a terminal: a block of `screen` in a page of `docs/`.
#[derive(Debug)]
pub struct Screen {
    page: String,
    lines: Vec<String>,
}

/// The pictures in the page `docs/PAGE.md`, in its order.
///
/// # Panics
///
/// If there is no such page, or a block in it has no end.
pub fn screens(page: &str) -> Vec<Screen> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page).with_extension("md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blocks = text.split("```screen\n").skip(1);
    let screen = |block: &str| {
        let (picture, _) = block.split_once("```").expect("a block has an end");
        Screen { page: page.to_owned(), lines: picture.lines().map(ToOwned::to_owned).collect() }
    };
    blocks.map(screen).collect()
}

impl Screen {
    /// Holds it against what is `shown`: each of its lines is there, in its order. It may leave
    /// lines out, and what stands before or behind them.
    ///
    /// # Panics
    ///
    /// If one is not there, with all that is shown.
    #[track_caller]
    pub fn is_in(&self, shown: &str) {
        let mut rows = shown.lines();
        for line in self.lines.iter().filter(|line| !line.trim().is_empty()) {
            assert!(
                rows.any(|row| row.contains(line.trim_end())),
                "docs/{}.md shows a screen that is none: no `{line}`, in this place, in\n{shown}",
                self.page
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        Screen { page: "a-page".to_owned(), lines: ["one", "", "  two  "].map(ToOwned::to_owned).to_vec() }
    }

    #[test]
    fn a_screen_may_leave_lines_out() {
        screen().is_in("│one│\nmore\n│  two│\n");
    }

    #[test]
    #[should_panic(expected = "docs/a-page.md shows a screen that is none: no `  two  `")]
    fn a_screen_has_the_order_of_what_is_shown() {
        screen().is_in("  two\none\n");
    }
}
