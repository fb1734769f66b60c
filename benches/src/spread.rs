//! Median and range of a figure over the rounds, and ratios between figures.

use std::fmt;

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` where there is no figure.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.iter().copied().filter(|f| f.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let upper = sorted[sorted.len() / 2];
        let median = if sorted.len() % 2 == 1 {
            upper
        } else {
            (sorted[sorted.len() / 2 - 1] + upper) / 2.0
        };
        Some(Self { median, min, max })
    }

    /// The median of the ratios within each round: what a slow round does to
    /// both sides cancels out.
    pub(crate) fn paired_ratio(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<f64> {
        let ratios: Vec<f64> = ours
            .iter()
            .zip(theirs)
            .filter_map(|(a, b)| Some((*a)? / (*b)?))
            .collect();
        Some(Self::of(&ratios)?.median)
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            return f.write_str(&number(self.median));
        }
        write!(
            f,
            "{} ({}-{})",
            number(self.median),
            number(self.min),
            number(self.max)
        )
    }
}

/// About three digits that matter: `0.194`, `7.08`, `36.5`, `1,002`, `11,302`.
pub(crate) fn number(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".into(),
        // No `-0.000`.
        x if x < 0.0005 => "0.000".into(),
        x if x < 0.9995 => format!("{figure:.3}"),
        x if x < 9.995 => format!("{figure:.2}"),
        x if x < 99.95 => format!("{figure:.1}"),
        _ => count(figure),
    }
}

/// A whole number: `25`, `2,278,247`.
pub(crate) fn count(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::from(if figure < 0.0 { "-" } else { "" });
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A cell with median and range; `-` is no figure.
pub(crate) fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".into(), |spread| spread.to_string())
}

/// A cell of a table; `-` is no figure.
pub(crate) fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".into(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even() {
        assert_eq!(
            Spread::of(&[3.0, 1.0, 2.0]).unwrap(),
            Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            }
        );
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(&[f64::NAN]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ours = [Some(2.0), Some(40.0), None];
        let theirs = [Some(1.0), Some(20.0), Some(1.0)];
        assert_eq!(Spread::paired_ratio(&ours, &theirs), Some(2.0));
    }

    #[test]
    fn numbers_for_reading() {
        let shown: Vec<_> = [0.0, -0.0001, 0.1943, 7.082, 36.46, 1002.4, 2_278_247.0]
            .map(number)
            .into();
        assert_eq!(
            shown,
            ["0", "0.000", "0.194", "7.08", "36.5", "1,002", "2,278,247"]
        );
    }
}
