//! What reaches a terminal: every text passes [`clean`] on its way, whoever wrote it.
use std::borrow::Cow;
use std::io::{IsTerminal, Write};

/// Whether a character does something to a terminal or to the order of the text, instead of being shown.
fn acts(c: char) -> bool {
    let plain = matches!(c, '\n' | '\t');
    let direction =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !plain) || direction
}

/// `text` with escapes in place of such characters: names, notes and errors come from files and plugins.
pub fn clean(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.escape_default().to_string())
}

/// The same for JSON, where such characters stand in texts only and have escapes of their own.
pub fn clean_json(text: &str) -> Cow<'_, str> {
    escaped(text, |c| format!("\\u{:04x}", u32::from(c)))
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { out.push_str(&escape(c)) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Writes a line to standard error. A reader that has gone away does not matter.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", clean(text));
}

/// Sends the log to standard error, as much of it as was asked for.
pub fn log_to_stderr(verbose: u8, first: bool) {
    let level = match verbose {
        // Ranks have the same to say; what only one has is an error, which all tell together.
        _ if !first => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let fields = tracing_subscriber::fmt::format::debug_fn(|out, field, value| {
        let text = format!("{value:?}");
        match field.name() {
            "message" => write!(out, "{}", clean(&text)),
            name => write!(out, "{name}={}", clean(&text)),
        }
    });
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .fmt_fields(fields)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_shown_instead() {
        assert!(matches!(clean("‖b − Ax‖\n\tω"), Cow::Borrowed(_)));
        assert_eq!(clean("a\u{1b}[31mred\r\u{7}\u{9b}2J"), "a\\u{1b}[31mred\\r\\u{7}\\u{9b}2J");
        assert_eq!(clean("x\u{202e}y"), "x\\u{202e}y");
        let json = serde_json::json!({ "a\u{1b}": "\u{9b}\u{7f}\u{2066}" });
        let text = json.to_string();
        let shown = clean_json(&text);
        assert!(!shown.contains(acts), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
    }
}
