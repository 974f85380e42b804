//! A document as one page.
use super::format::seconds;
use super::page::{self, esc};
use super::plot::COLOURS;
use super::{Cell, Document, Figure, Row, Section, Table};
use std::fmt::Write as _;

/// Appends formatted text; writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => { let _ = write!($out, $($what)*); };
}

/// The page.
pub fn page(document: &Document) -> String {
    let mut out = page::open(&document.title, &document.command, &document.provenance);
    readings(&mut out, &document.readings);
    list(&mut out, &document.notes);
    if document.sections.len() > 1 {
        out.push_str("<nav><ul>\n");
        for section in &document.sections {
            put!(out, "<li><a href=\"#{}\">{}</a></li>\n", esc(&section.id), esc(&section.title));
        }
        out.push_str("</ul></nav>\n");
    }
    for of in &document.sections {
        section(&mut out, of);
    }
    if let Some(text) = &document.configuration {
        put!(
            out,
            "<details id=\"configuration\">\n<summary>The configuration, to copy</summary>\n<pre tabindex=\"0\">{}</pre>\n</details>\n",
            esc(text)
        );
    }
    if !document.files.is_empty() {
        let link = |(name, what): &(&str, String)| {
            format!("<a href=\"{name}\">{name}</a> ({})", esc(what))
        };
        let links: Vec<String> = document.files.iter().map(link).collect();
        put!(out, "<p class=\"about\">Raw numbers: {}.</p>\n", links.join(", "));
    }
    out.push_str(page::CLOSE);
    out
}

/// Its sections, to stand within another page (of a notebook), with a style and colours of their own.
pub fn fragment(document: &Document) -> String {
    const STYLE: &str = include_str!("fragment.css");
    let colours = page::colours();
    let mut out =
        format!("<style>\n{STYLE}</style>\n<div class=\"precondor\" style=\"{colours}\">\n");
    readings(&mut out, &document.readings);
    for of in &document.sections {
        section(&mut out, of);
    }
    out.push_str("</div>\n");
    out
}

fn readings(out: &mut String, readings: &[String]) {
    for reading in readings {
        put!(out, "<p class=\"reading\">{}</p>\n", esc(reading));
    }
}

fn list(out: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    out.push_str("<ul class=\"rules\">\n");
    for note in notes {
        put!(out, "<li>{}</li>\n", esc(note));
    }
    out.push_str("</ul>\n");
}

fn section(out: &mut String, section: &Section) {
    put!(out, "<section id=\"{}\">\n<h2>{}</h2>\n", esc(&section.id), esc(&section.title));
    if let Some(took) = section.seconds {
        put!(out, "<p class=\"about\">took {}</p>\n", seconds(took));
    }
    list(out, &section.notes);
    for of in &section.tables {
        table(out, of, &section.title);
    }
    if !section.figures.is_empty() {
        out.push_str("<div class=\"figures\">\n");
        section.figures.iter().for_each(|of| figure(out, of));
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

fn figure(out: &mut String, Figure { svg, caption, half }: &Figure) {
    let class = if *half { " class=\"half\"" } else { "" };
    let caption = esc(caption);
    // What readers of screens are told of it.
    let svg = svg.replacen(" role=\"img\"", &format!(" role=\"img\" aria-label=\"{caption}\""), 1);
    put!(out, "<figure{class}>\n{svg}\n<figcaption>{caption}</figcaption>\n</figure>\n");
}

fn table(out: &mut String, table: &Table, title: &str) {
    if !table.title.is_empty() {
        put!(out, "<h3>{}</h3>\n", esc(&table.title));
    }
    let name = if table.title.is_empty() { title } else { &table.title };
    put!(
        out,
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"><table>\n",
        esc(name)
    );
    out.push_str("<thead><tr><td></td>");
    let class = |k: usize| if table.has_words(k) { "" } else { "n" };
    for (k, column) in table.columns.iter().enumerate() {
        let small = match column.small.is_empty() {
            true => String::new(),
            false => format!("<small>{}</small>", esc(&column.small)),
        };
        put!(out, "<th scope=\"col\" class=\"{}\">{}{small}</th>", class(k), esc(&column.head));
    }
    out.push_str("</tr></thead>\n");
    let groups = table.groups();
    let span = table.columns.len() + 1;
    for (group, rows) in &groups {
        let least = table.least(rows);
        out.push_str("<tbody>\n");
        if groups.len() > 1 {
            put!(
                out,
                "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{span}\">{}</th></tr>\n",
                esc(group)
            );
        }
        for row in *rows {
            put!(out, "<tr><th scope=\"row\" class=\"row\">{}{}</th>", dot(row), esc(&row.label));
            for (k, (cell, least)) in row.cells.iter().zip(&least).enumerate() {
                let best = if row.is_best(k, *least) { " best" } else { "" };
                put!(out, "<td class=\"{}{best}{}\">{}</td>", class(k), ending(cell), shown(cell));
            }
            out.push_str("</tr>\n");
            for remark in row.remarks.iter().chain(&row.asides) {
                let remark = esc(remark).replace('\n', "<br>");
                put!(out, "<tr class=\"remark\"><td colspan=\"{span}\">{remark}</td></tr>\n");
            }
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></div>\n");
    readings(out, &table.readings);
}

/// A dot in the colour of the row's curve.
fn dot(row: &Row) -> String {
    let dot = |colour: usize| {
        format!("<i aria-hidden=\"true\" style=\"background:var(--c{})\"></i>", colour % COLOURS)
    };
    row.colour.map_or(String::new(), dot)
}

/// The class of what failed.
fn ending(cell: &Cell) -> &'static str {
    match cell {
        Cell::Outcome(_, false) => " bad",
        Cell::Iterations(its) if its.otherwise.is_some() && its.mean_max().is_none() => " bad",
        _ => "",
    }
}

/// What stands in a cell; the most of several counts is small.
fn shown(cell: &Cell) -> String {
    let text = esc(&cell.shown());
    match (cell, text.split_once(" (")) {
        (Cell::Iterations(its), Some((mean, most))) if its.of_solved().is_some() => {
            format!("{mean} <small>({most}</small>")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Provenance};
    use super::*;

    #[test]
    fn a_part_of_a_page_brings_the_colours_of_its_pictures_along() {
        let svg = "<svg role=\"img\" stroke=\"var(--c3)\"/>".to_owned();
        let row = Row { label: "<b>".into(), cells: vec![Cell::Count(3)], ..Row::default() };
        let columns = vec![Column::new("n", "n", "")];
        let section = Section {
            title: "one & only".into(),
            tables: vec![Table { columns, rows: vec![row], ..Table::default() }],
            figures: vec![Figure { svg, caption: "drawn".into(), half: true }],
            ..Section::default()
        };
        let document = Document {
            title: "title".into(),
            command: String::new(),
            provenance: Provenance::here(),
            notes: Vec::new(),
            readings: vec!["read".into()],
            sections: vec![section],
            configuration: None,
            files: Vec::new(),
            data: serde_json::Map::new(),
        };
        let part = fragment(&document);
        let start = "</style>\n<div class=\"precondor\" style=\"--paper: #fbfbf9;";
        assert!(part.contains(start), "{part}");
        assert!(part.contains("--c3: #c92a2a;") && part.contains("one &amp; only"), "{part}");
        assert!(part.contains("&lt;b&gt;") && !part.contains("<b>"), "{part}");
        assert!(!part.contains("<html") && part.ends_with("</div>\n"));
        // Nothing of the page around is changed.
        let style = part.split("</style>").next().unwrap().trim_start_matches("<style>\n");
        assert!(style.lines().all(|line| line.starts_with(".precondor ")), "{style}");
    }
}
