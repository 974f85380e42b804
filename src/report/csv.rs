//! Tables for other programs: fields between commas, quoted where they need it.
use super::{Cell, Table};

/// A line of these fields.
pub fn line<S: AsRef<str>>(fields: impl IntoIterator<Item = S>) -> String {
    let mut out = String::new();
    for field in fields {
        let field = field.as_ref();
        match field.contains([',', '"', '\n', '\r']) {
            true => out.push_str(&format!("\"{}\",", field.replace('"', "\"\""))),
            false => {
                out.push_str(field);
                out.push(',');
            }
        }
    }
    out.pop();
    out.push('\n');
    out
}

/// A table: label, group and the columns' keys at the head, then a line for each row.
pub fn table(table: &Table) -> String {
    let keys = table.columns.iter().map(|column| column.key.as_str());
    let mut out = line(["label", "group"].into_iter().chain(keys));
    for row in &table.rows {
        let mut fields = vec![row.label.clone(), row.group.clone()];
        fields.extend(row.cells.iter().map(field));
        out += &line(fields);
    }
    out
}

/// A value without its unit.
fn field(cell: &Cell) -> String {
    match cell {
        Cell::None => String::new(),
        Cell::Text(text) | Cell::Outcome(text, _) => text.clone(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(x) | Cell::Share(x) | Cell::Bytes(x) | Cell::Sent(x, _) | Cell::Seconds(x) => {
            format!("{x:e}")
        }
        Cell::Timed { seconds, .. } => format!("{seconds:e}"),
        Cell::Iterations(its) => its.mean_max().map_or(String::new(), |(mean, _)| mean.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Row};
    use super::*;

    #[test]
    fn fields_with_separators_are_quoted() {
        assert_eq!(line(["plain ω", "a,\"b\"\nc", ""]), "plain ω,\"a,\"\"b\"\"\nc\",\n");
    }

    #[test]
    fn a_table_has_its_keys_at_the_head_and_values_without_units() {
        let of = Table {
            id: "t".into(),
            title: "T".into(),
            columns: vec![Column::new("seconds", "time", "s"), Column::new("n", "n", "")],
            rows: vec![Row {
                label: "a, b".into(),
                group: "all".into(),
                cells: vec![Cell::Seconds(0.25), Cell::Count(3)],
                ..Row::default()
            }],
            ..Table::default()
        };
        assert_eq!(table(&of), "label,group,seconds,n\n\"a, b\",all,2.5e-1,3\n");
    }
}
