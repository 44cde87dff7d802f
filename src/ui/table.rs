//! A table that gives up its least important columns where the terminal is narrow.

use console::measure_text_width;

/// Between two columns.
const GAP: &str = "  ";

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its title.
    pub(super) head: &'static str,
    /// Numbers stand at the right.
    pub(super) right: bool,
    /// What is lowest goes first when there is no room; [`KEEP`] never goes.
    pub(super) worth: u8,
}

/// The worth of a column that never goes.
pub(super) const KEEP: u8 = u8::MAX;

impl Column {
    pub(super) const fn left(head: &'static str, worth: u8) -> Self {
        Self {
            head,
            right: false,
            worth,
        }
    }

    pub(super) const fn right(head: &'static str, worth: u8) -> Self {
        Self {
            head,
            right: true,
            worth,
        }
    }
}

/// The lines of a table. Cells may hold colours and wide characters; a row has a cell for each column.
/// `width` is in columns of the terminal, `None` for no limit.
pub(super) fn render(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            let widest = cells.map(|cell| measure_text_width(cell)).max();
            widest.unwrap_or(0).max(measure_text_width(column.head))
        })
        .collect();
    let shown = fitting(columns, &widths, width.unwrap_or(usize::MAX));
    let heads: Vec<String> = columns.iter().map(|c| c.head.to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for &at in &shown {
            let cell = row.get(at).map_or("", String::as_str);
            let fill = " ".repeat(widths[at].saturating_sub(measure_text_width(cell)));
            if !line.is_empty() {
                line.push_str(GAP);
            }
            match columns[at].right {
                true => line.extend([&fill, cell]),
                false => line.extend([cell, &fill]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Which columns there is room for.
fn fitting(columns: &[Column], widths: &[usize], room: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    while shown
        .iter()
        .map(|&at| widths[at] + GAP.len())
        .sum::<usize>()
        > room.saturating_add(GAP.len())
    {
        // Of two of the same worth, the later one goes.
        let least = shown.iter().copied().filter(|&at| columns[at].worth < KEEP);
        match least.min_by_key(|&at| (columns[at].worth, usize::MAX - at)) {
            Some(goes) => shown.retain(|&at| at != goes),
            None => break,
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: Option<usize>) -> String {
        let columns = [
            Column::left("NAME", KEEP),
            Column::right("N", 1),
            Column::left("WHY", 0),
        ];
        let rows = [
            vec!["日本".to_owned(), "7".to_owned(), "refused".to_owned()],
            vec![
                "\u{1b}[31ma\u{1b}[0m".to_owned(),
                "1,204".to_owned(),
                String::new(),
            ],
        ];
        render(&columns, &rows, width)
    }

    #[test]
    fn wide_characters_and_colours_align() {
        let plain = console::strip_ansi_codes(&table(None)).into_owned();
        assert_eq!(
            plain,
            "NAME      N  WHY\n日本      7  refused\na     1,204\n"
        );
    }

    #[test]
    fn the_least_worth_goes_first_and_the_name_never() {
        for (width, heads) in [
            (20, "NAME      N  WHY"),
            (19, "NAME      N"),
            (10, "NAME"),
            (1, "NAME"),
        ] {
            assert_eq!(table(Some(width)).lines().next().unwrap(), heads, "{width}");
        }
    }
}
