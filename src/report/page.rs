//! What every page has in common: one file that needs nothing else, no script, no font, no picture
//! from elsewhere.
use super::Provenance;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// The variables of the style that hold colours, in light.
pub fn colours() -> String {
    let block = STYLE.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let words = block.map_or("", |(block, _)| block).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

/// Text as HTML. Every text that comes from a configuration, a file or a plugin goes through here.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The beginning: title, the command that made the page, the program and the machine.
pub fn open(title: &str, command: &str, provenance: &Provenance) -> String {
    let (title, command) = (esc(title), esc(command));
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>{title}</h1>\n\
         <p class=\"about\"><code>{command}</code> · {} · {} · <time>{}</time></p>\n",
        esc(&provenance.program()),
        esc(&provenance.machine()),
        provenance.date
    );
    for file in &provenance.files {
        let _ = writeln!(out, "<p class=\"about\">{}</p>", esc(&file.told()));
    }
    out.push_str("</header>\n");
    out
}

/// The end.
pub const CLOSE: &str = "</main>\n</body>\n</html>\n";

#[cfg(test)]
mod tests {
    use super::esc;

    #[test]
    fn markup_in_texts_is_shown_and_not_obeyed() {
        assert_eq!(
            esc("<script>alert('&\"')</script>"),
            "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;"
        );
    }
}
