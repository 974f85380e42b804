//! A document as Markdown whose columns are padded.
use super::super::format::seconds;
use super::{Document, Section, Table};
use std::fmt::Write as _;

/// All sections.
pub fn page(document: &Document) -> String {
    let mut out = format!("# {}\n\n`{}`\n\n", document.title, document.command);
    // Writing to a string cannot fail.
    let _ =
        writeln!(out, "{} on {}.", document.provenance.program(), document.provenance.machine());
    for section in &document.sections {
        put(&mut out, section);
    }
    out
}

fn put(out: &mut String, section: &Section) {
    let _ = writeln!(out, "\n## {}\n", section.title);
    for note in &section.notes {
        let _ = writeln!(out, "- {note}");
    }
    for of in &section.tables {
        table(out, of);
    }
    let _ = writeln!(out, "\n({} took {}.)", section.id, seconds(section.seconds));
}

fn table(out: &mut String, table: &Table) {
    let _ = writeln!(out, "\n### {}\n", table.title);
    let head = |column: &super::Column| match column.small.is_empty() {
        true => column.head.clone(),
        false => format!("{}, {}", column.head, column.small),
    };
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    lines[0].push(String::new());
    lines[0].extend(table.columns.iter().map(head));
    let groups = table.groups();
    for (group, rows) in &groups {
        let least = table.least(rows);
        if groups.len() > 1 {
            lines.push(vec![format!("**{group}**")]);
        }
        for row in rows {
            let mut line = vec![row.label.clone()];
            for (cell, least) in row.cells.iter().zip(&least) {
                let best = least.is_some() && cell.size() == *least;
                line.push(if best { format!("**{}**", cell.shown()) } else { cell.shown() });
            }
            lines.push(line);
        }
    }
    let columns = table.columns.len() + 1;
    let length = |line: &Vec<String>, k: usize| line.get(k).map_or(0, |text| text.chars().count());
    let width = |k: usize| lines.iter().map(|line| length(line, k)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let words = |k: usize| k == 0 || table.rows.iter().any(|row| row.cells[k - 1].is_words());
    for (number, line) in lines.iter().enumerate() {
        out.push('|');
        for (k, &width) in widths.iter().enumerate() {
            let text = line.get(k).map_or("", String::as_str);
            let _ = match words(k) {
                true => write!(out, " {text:<width$} |"),
                false => write!(out, " {text:>width$} |"),
            };
        }
        out.push('\n');
        if number == 0 {
            let rule = |k: usize| match words(k) {
                true => format!(":{}", "-".repeat(widths[k] + 1)),
                false => format!("{}:", "-".repeat(widths[k] + 1)),
            };
            let _ = writeln!(out, "|{}|", (0..columns).map(rule).collect::<Vec<_>>().join("|"));
        }
    }
    let remarks: Vec<String> = table
        .rows
        .iter()
        .flat_map(|row| row.remarks.iter().map(|remark| format!("- {}: {remark}", row.label)))
        .collect();
    if !remarks.is_empty() {
        let _ = writeln!(out, "\n{}", remarks.join("\n"));
    }
    for reading in &table.readings {
        let _ = writeln!(out, "\n→ {reading}");
    }
}
