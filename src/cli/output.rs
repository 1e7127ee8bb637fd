//! Output: tables with lines on a terminal, plain aligned text in a pipe.

use std::io::{IsTerminal, Write, stdout};

use comfy_table::{ContentArrangement, Table, presets};

/// Prints a text and a line break. If the reader has closed the pipe (`| head`), the text is
/// dropped.
pub fn print(text: &str) {
    let _ = writeln!(stdout(), "{}", text.trim_end_matches('\n'));
}

/// Prints rows under a header.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) {
    print(&rendered(header, rows, stdout().is_terminal()));
}

/// Prints names and values, one pair per line.
pub fn pairs(pairs: &[(&str, String)]) {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in pairs {
        print(&format!("{name:width$}  {value}"));
    }
}

fn rendered(header: &[&str], rows: Vec<Vec<String>>, terminal: bool) -> String {
    let mut table = Table::new();
    table.set_header(header.to_vec()).add_rows(rows);
    if terminal {
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        return table.to_string();
    }
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piped_table_is_plain_aligned_text() {
        let rows = vec![
            vec!["A-1".to_owned(), "PAID".to_owned()],
            vec!["주문-12".to_owned(), "HELD".to_owned()],
        ];
        assert_eq!(
            rendered(&["ORDER", "STATUS"], rows, false),
            "ORDER    STATUS\nA-1      PAID\n주문-12  HELD"
        );
    }
}
