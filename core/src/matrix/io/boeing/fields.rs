//! Numbers in columns of fixed width, as Fortran's formats say.
use super::super::lines::{Lines, real, shown};
use crate::{Error, Result};
use std::io::BufRead;

/// A format: so many numbers a line, each of so many characters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Format {
    repeat: usize,
    width: usize,
    /// Digits behind the point, of a number that has none.
    decimals: i32,
    /// Powers of ten that a number without an exponent was multiplied by.
    scale: i32,
}

impl Format {
    /// Lines that so many numbers take.
    pub(super) fn lines(self, count: u64) -> u64 {
        count.div_ceil(self.repeat as u64)
    }

    /// Out of `(16I5)`, `(1P,5E16.8)`, `(1P3D25.16E3)` and the like.
    fn parse(text: &str) -> Option<Format> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.to_ascii_uppercase();
        let mut rest = text.strip_prefix('(')?.strip_suffix(')')?;
        let mut scale = 0;
        if let Some(at) = rest.find('P') {
            scale = rest[..at].parse().ok().filter(|scale: &i32| scale.abs() < 100)?;
            rest = rest[at + 1..].trim_start_matches(',');
        }
        // A count may stand before a group of its own.
        if let Some((count, group)) = rest.split_once('(') {
            let inner = Format::parse(&format!("({group}"))?;
            let count: usize = if count.is_empty() { 1 } else { count.parse().ok()? };
            let repeat =
                count.checked_mul(inner.repeat).filter(|repeat| (1..=1 << 16).contains(repeat))?;
            return Some(Format { repeat, scale: inner.scale + scale, ..inner });
        }
        let letter = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let repeat = if letter == 0 { 1 } else { rest[..letter].parse().ok()? };
        let kind = rest[letter..].chars().next()?;
        // ES and EN are E when read.
        let rest = rest[letter + 1..].trim_start_matches(['S', 'N']);
        if !"IEDFG".contains(kind) {
            return None;
        }
        let (width, decimals) = rest.split_once('.').unwrap_or((rest, "0"));
        let decimals = decimals.split('E').next()?.parse().ok().filter(|d| (0..100).contains(d))?;
        let width = width.parse().ok().filter(|width| (1..=256).contains(width))?;
        let fits = (1..=1 << 16).contains(&repeat);
        let decimals = if kind == 'I' { 0 } else { decimals };
        fits.then_some(Format { repeat, width, decimals, scale })
    }

    /// A number in one of its columns.
    fn number(self, text: &str) -> Option<f64> {
        let text: String = text.chars().filter(|c| *c != ' ').collect();
        let exponent = text.find(['E', 'e', 'D', 'd', 'Q', 'q']).or_else(|| {
            // `1.5-3`: its sign begins the exponent.
            text.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map(|(at, _)| at)
        });
        let (mantissa, power) = match exponent {
            Some(at) => {
                let power = text[at..].trim_start_matches(['E', 'e', 'D', 'd', 'Q', 'q']);
                (&text[..at], Some(power.parse::<i32>().ok().filter(|p| p.abs() < 10_000)?))
            }
            None => (text.as_str(), None),
        };
        let implied = if mantissa.contains('.') { 0 } else { self.decimals };
        let scale = if power.is_some() { 0 } else { self.scale };
        let shift = power.unwrap_or(0) - implied - scale;
        let digits =
            mantissa.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'+' | b'-'));
        // One conversion, so that nothing is rounded twice.
        digits.then(|| real(&format!("{mantissa}e{shift}"))).flatten()
    }
}

/// The formats of a line, each in its brackets.
pub(super) fn formats(line: &[u8]) -> std::result::Result<Vec<Format>, String> {
    let text = String::from_utf8_lossy(line);
    let (mut formats, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            ')' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    let one = &text[start..=at];
                    let format = Format::parse(one);
                    formats.push(format.ok_or_else(|| {
                        format!("{} is no format that numbers are read by", shown(one.as_bytes()))
                    })?);
                }
            }
            _ => {}
        }
    }
    if formats.len() < 2 { Err("formats in brackets must stand here".into()) } else { Ok(formats) }
}

/// Numbers, one after the other.
pub(super) struct Fields {
    lines: Lines<Box<dyn BufRead>>,
    format: Format,
    what: &'static str,
    /// Numbers taken from the current line.
    taken: usize,
}

impl Fields {
    /// From the next line of `lines` on.
    pub(super) fn new(lines: Lines<Box<dyn BufRead>>, format: Format, what: &'static str) -> Self {
        Fields { lines, format, what, taken: format.repeat }
    }

    /// An error in the line of the last number.
    pub(super) fn fail(&self, why: impl Into<String>) -> Error {
        self.lines.fail(why)
    }

    /// The characters of the next number.
    fn field(&mut self) -> Result<&[u8]> {
        if self.taken == self.format.repeat {
            if !self.lines.advance()? {
                return Err(self.lines.fail(format!("the file ends within its {}", self.what)));
            }
            self.taken = 0;
        }
        let from = self.taken * self.format.width;
        self.taken += 1;
        let line = self.lines.current().trim_ascii_end();
        let field = line.get(from..(from + self.format.width).min(line.len())).unwrap_or_default();
        if field.trim_ascii().is_empty() {
            let (taken, repeat) = (self.taken, self.format.repeat);
            return Err(self
                .lines
                .fail(format!("number {taken} of {repeat} is missing in this line")));
        }
        Ok(field)
    }

    /// A number without sign and point.
    pub(super) fn natural(&mut self) -> Result<u64> {
        let field = self.field()?.trim_ascii().to_vec();
        let number = super::natural(&field);
        number.ok_or_else(|| self.lines.fail(format!("{} is no number of digits", shown(&field))))
    }

    /// A number that is finite.
    pub(super) fn real(&mut self) -> Result<f64> {
        let format = self.format;
        let field = self.field()?.to_vec();
        let number = std::str::from_utf8(&field).ok().and_then(|text| format.number(text));
        match number {
            Some(number) if number.is_finite() => Ok(number),
            Some(_) => Err(self.lines.fail(format!("{} is not finite", shown(&field)))),
            None => Err(self.lines.fail(format!("{} is not a number", shown(&field)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_understood() {
        let of = |text: &str| Format::parse(text);
        let plain =
            |repeat, width, decimals, scale| Some(Format { repeat, width, decimals, scale });
        assert_eq!(of("(16I5)"), plain(16, 5, 0, 0));
        assert_eq!(of("( 1P , 5E16.8 )"), plain(5, 16, 8, 1));
        assert_eq!(of("(1p3d25.16e3)"), plain(3, 25, 16, 1));
        assert_eq!(of("(4(F20.12))"), plain(4, 20, 12, 0));
        assert_eq!(of("(I8)"), plain(1, 8, 0, 0));
        assert_eq!(of("(1P,4(ES20.12))"), plain(4, 20, 12, 1));
        for wrong in
            ["16I5", "()", "(I)", "(0I5)", "(5A8)", "(5E999.1)", "(99999999I3)", "(P3E20.1)", "(("]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_those_that_fortran_reads() {
        let number = |format: &str, text: &str| Format::parse(format).and_then(|f| f.number(text));
        for (format, text, value) in [
            ("(E20.12)", " 1.5E+02", 150.0),
            ("(E20.12)", "-1.5D-02", -0.015),
            ("(E20.12)", "1.5-3", 0.0015),
            ("(E20.12)", "-.5+1", -5.0),
            ("(F10.3)", "12345", 12.345),
            ("(F10.3)", "1 2.5", 12.5),
            ("(1P,E10.3)", "1.5E2", 150.0),
            ("(1P,F10.3)", "15.0", 1.5),
            ("(I5)", "  17", 17.0),
        ] {
            assert_eq!(number(format, text), Some(value), "{format} {text}");
        }
        for wrong in ["", "E5", "1.5E", "one", "1.5E99999", "0x10", "nan", "inf", "1..5"] {
            assert_eq!(number("(E20.12)", wrong), None, "{wrong}");
        }
    }
}
