//! A markdown table, padded so that it can be read in a terminal too.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<S: AsRef<str>>(header: &[S]) -> Self {
        Self {
            rows: vec![header.iter().map(|h| h.as_ref().to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| cell(row, column).chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        for (at, row) in self.rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                match column {
                    0 => write!(f, "| {:<width$} |", cell(row, column))?,
                    _ => write!(f, " {:>width$} |", cell(row, column))?,
                }
            }
            writeln!(f)?;
            if at == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    match column {
                        0 => write!(f, "|{:-<1$}|", "", width + 2)?,
                        _ => write!(f, "{:-<1$}:|", "", width + 1)?,
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["server", "p50"]);
        table.row(vec!["go".into(), "22.1".into()]);
        assert_eq!(
            table.to_string(),
            "| server |  p50 |\n|--------|-----:|\n| go     | 22.1 |\n"
        );
    }
}
