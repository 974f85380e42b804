//! A document as Markdown whose columns are padded.
use super::format::seconds;
use super::{Document, Section, Table};
use std::fmt::Write as _;

/// All of it but the pictures.
pub fn page(document: &Document) -> String {
    let mut out = format!("# {}\n\n`{}`\n\n", document.title, document.command);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{} on {}, {}.",
        document.provenance.program(),
        document.provenance.machine(),
        document.provenance.date
    );
    for file in &document.provenance.files {
        let _ = writeln!(out, "Read {}.", file.told());
    }
    list(&mut out, &document.notes);
    for section in document.sections.iter().filter(|section| !section.on_pages_only) {
        put(&mut out, section);
    }
    for reading in &document.readings {
        let _ = writeln!(out, "\n→ {reading}");
    }
    out
}

fn list(out: &mut String, notes: &[String]) {
    if !notes.is_empty() {
        let _ = writeln!(out, "\n- {}", notes.join("\n- "));
    }
}

fn put(out: &mut String, section: &Section) {
    let _ = writeln!(out, "\n## {}", section.title);
    list(out, &section.notes);
    for of in &section.tables {
        table(out, of);
    }
    if let Some(took) = section.seconds {
        let _ = writeln!(out, "\n({} took {}.)", section.id, seconds(took));
    }
}

fn table(out: &mut String, table: &Table) {
    if !table.title.is_empty() {
        let _ = writeln!(out, "\n### {}", table.title);
    }
    out.push('\n');
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
        for row in *rows {
            let mut line = vec![row.label.clone()];
            for (k, (cell, least)) in row.cells.iter().zip(&least).enumerate() {
                let best = row.is_best(k, *least);
                line.push(if best { format!("**{}**", cell.shown()) } else { cell.shown() });
            }
            lines.push(line);
        }
    }
    let columns = table.columns.len() + 1;
    let length = |line: &Vec<String>, k: usize| line.get(k).map_or(0, |text| text.chars().count());
    let width = |k: usize| lines.iter().map(|line| length(line, k)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let words = |k: usize| k == 0 || table.has_words(k - 1);
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
