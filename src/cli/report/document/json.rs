//! A document as JSON; the keys are stable.
use super::{Cell, Document, Row, Section, Table};
use serde_json::{Map, Value, json};

/// `{ title, command, provenance, experiments: [{ id, title, notes, seconds, tables: [{ id, title,
/// columns, rows: [{ label, group, values, remarks }] }] }] }`, where `values` has the columns'
/// keys.
pub fn document(document: &Document) -> Value {
    json!({
        "title": document.title,
        "command": document.command,
        "provenance": document.provenance,
        "experiments": document.sections.iter().map(section).collect::<Vec<_>>(),
    })
}

fn section(section: &Section) -> Value {
    json!({
        "id": section.id,
        "title": section.title,
        "notes": section.notes,
        "seconds": section.seconds,
        "tables": section.tables.iter().map(table).collect::<Vec<_>>(),
    })
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
    json!({ "label": row.label, "group": row.group, "values": values, "remarks": row.remarks })
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::None => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Count(count) => json!(count),
        Cell::Number(x) | Cell::Share(x) | Cell::Bytes(x) | Cell::Seconds(x) => json!(x),
        Cell::Iterations(its) => json!({
            "mean": its.mean_max().map(|(mean, _)| mean),
            "max": its.mean_max().map(|(_, most)| most),
            "counts": its.counts,
            "systems": its.systems,
            "outcome": its.otherwise.as_deref().unwrap_or("converged"),
            "solver": its.solver,
            "predicted": its.predicted,
        }),
    }
}
