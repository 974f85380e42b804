//! A document as one page.
use super::super::format::seconds;
use super::super::page::{self, esc};
use super::{Cell, Document, Section, Table};
use std::fmt::Write as _;

/// Appends formatted text; writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => { let _ = write!($out, $($what)*); };
}

/// The page.
pub fn page(document: &Document) -> String {
    let mut out = page::open(&document.title, &document.command, &document.provenance);
    if document.sections.len() > 1 {
        out.push_str("<nav><ul>\n");
        for section in &document.sections {
            put!(out, "<li><a href=\"#{}\">{}</a></li>\n", section.id, esc(&section.title));
        }
        out.push_str("</ul></nav>\n");
    }
    for section in &document.sections {
        put_section(&mut out, section);
    }
    out.push_str(page::CLOSE);
    out
}

fn put_section(out: &mut String, section: &Section) {
    put!(out, "<section id=\"{}\">\n<h2>{}</h2>\n", section.id, esc(&section.title));
    put!(out, "<p class=\"about\">took {}</p>\n<ul class=\"rules\">\n", seconds(section.seconds));
    for note in &section.notes {
        put!(out, "<li>{}</li>\n", esc(note));
    }
    out.push_str("</ul>\n");
    for of in &section.tables {
        table(out, of);
    }
    if !section.figures.is_empty() {
        out.push_str("<div class=\"figures\">\n");
        for figure in &section.figures {
            let class = if figure.half { " class=\"half\"" } else { "" };
            let caption = esc(&figure.caption);
            put!(
                out,
                "<figure{class}>\n{}\n<figcaption>{caption}</figcaption>\n</figure>\n",
                figure.svg
            );
        }
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

fn table(out: &mut String, table: &Table) {
    put!(out, "<h3>{}</h3>\n", esc(&table.title));
    out.push_str("<div class=\"scroll\"><table>\n<thead><tr><th></th>");
    let words = |k: usize| table.rows.iter().any(|row| row.cells[k].is_words());
    let class = |k: usize| if words(k) { "" } else { "n" };
    for (k, column) in table.columns.iter().enumerate() {
        let small = match column.small.is_empty() {
            true => String::new(),
            false => format!("<small>{}</small>", esc(&column.small)),
        };
        put!(out, "<th class=\"{}\">{}{small}</th>", class(k), esc(&column.head));
    }
    out.push_str("</tr></thead>\n");
    let groups = table.groups();
    let span = table.columns.len() + 1;
    for (group, rows) in &groups {
        let least = table.least(rows);
        out.push_str("<tbody>\n");
        if groups.len() > 1 {
            put!(out, "<tr class=\"group\"><th colspan=\"{span}\">{}</th></tr>\n", esc(group));
        }
        for row in rows {
            put!(out, "<tr><th class=\"row\">{}</th>", esc(&row.label));
            for (k, (cell, least)) in row.cells.iter().zip(&least).enumerate() {
                let best = least.is_some() && cell.size() == *least;
                let best = if best { " best" } else { "" };
                let failed = matches!(cell, Cell::Iterations(its) if its.mean_max().is_none());
                let failed = if failed { " bad" } else { "" };
                put!(out, "<td class=\"{}{best}{failed}\">{}</td>", class(k), esc(&cell.shown()));
            }
            out.push_str("</tr>\n");
            for remark in &row.remarks {
                put!(
                    out,
                    "<tr class=\"remark\"><td colspan=\"{span}\">{}</td></tr>\n",
                    esc(remark).replace('\n', "<br>")
                );
            }
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></div>\n");
    for reading in &table.readings {
        put!(out, "<p class=\"reading\">{}</p>\n", esc(reading));
    }
}
