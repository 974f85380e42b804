//! A document as JSON; the keys are stable.
use super::{Cell, Document, Row, Section, Table};
use serde_json::{Map, Value, json};

/// `{ title, command, provenance, notes, readings, …, sections: [{ id, title, notes, seconds, …, tables: [{ id,
/// title, columns, rows: [{ label, group, values, remarks, … }], readings }] }] }`, where `values` has the columns'
/// keys, and … what a command adds.
pub fn document(document: &Document) -> Value {
    let sections = document.sections.iter().filter(|section| !section.on_pages_only);
    let own = json!({
        "title": document.title,
        "command": document.command,
        "provenance": document.provenance,
        "notes": document.notes,
        "readings": document.readings,
        "sections": sections.map(section).collect::<Vec<_>>(),
    });
    with(own, &document.data)
}

/// An object with more in it.
fn with(mut object: Value, more: &Map<String, Value>) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.extend(more.clone());
    }
    object
}

fn section(section: &Section) -> Value {
    let own = json!({
        "id": section.id,
        "title": section.title,
        "notes": section.notes,
        "seconds": section.seconds,
        "tables": section.tables.iter().map(table).collect::<Vec<_>>(),
    });
    with(own, &section.data)
}

fn table(table: &Table) -> Value {
    let column = |column: &super::Column| json!({ "key": column.key, "head": format!("{} {}", column.head, column.small).trim() });
    json!({
        "id": table.id,
        "title": table.title,
        "columns": table.columns.iter().map(column).collect::<Vec<_>>(),
        "rows": table.rows.iter().map(|of| row(table, of)).collect::<Vec<_>>(),
        "readings": table.readings,
    })
}

fn row(table: &Table, row: &Row) -> Value {
    let cells = table.columns.iter().zip(&row.cells);
    let values: Map<String, Value> =
        cells.map(|(column, cell)| (column.key.clone(), value(cell))).collect();
    let remarks: Vec<&String> = row.remarks.iter().chain(&row.asides).collect();
    let own =
        json!({ "label": row.label, "group": row.group, "values": values, "remarks": remarks });
    with(own, &row.data)
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::None => Value::Null,
        Cell::Text(text) | Cell::Outcome(text, _) => json!(text),
        Cell::Count(count) => json!(count),
        Cell::Number(x) | Cell::Share(x) | Cell::Bytes(x) | Cell::Seconds(x) => json!(x),
        Cell::Timed { seconds, .. } => json!(seconds),
        Cell::Sent(bytes, messages) => json!({ "bytes": bytes, "messages": messages }),
        Cell::Iterations(its) => json!({
            "mean": its.of_solved().map(|(mean, _)| mean),
            "max": its.of_solved().map(|(_, most)| most),
            "counts": its.counts,
            "solved": its.solved.0,
            "systems": its.systems,
            "outcome": its.outcome(),
            "solver": its.solver,
            "predicted": its.predicted,
        }),
    }
}
