//! A comparison as one page.
use super::format::{bytes, mean, number, seconds};
use super::page::{self, esc};
use super::plot::{self, Curve};
use super::{Comparison, ranks, reading, scaling};
use std::fmt::Write as _;

/// Appends formatted text; writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => { let _ = write!($out, $($what)*); };
}

/// The page.
pub fn page(comparison: &Comparison) -> String {
    let mut words = vec!["precondor".into(), "compare".into(), comparison.config.clone()];
    words.extend(comparison.overrides.iter().flat_map(|flag| ["--set".into(), flag.clone()]));
    let command = crate::files::command(&words);
    let mut out = page::open(&comparison.title, &command, &comparison.provenance);
    overview(&mut out, comparison);
    for case in 0..comparison.cases.len() {
        section(&mut out, comparison, case);
    }
    if let Some(reckoned) = &comparison.scaling {
        out.push_str(&scaling::section(reckoned));
    }
    methods(&mut out, comparison);
    out.push_str(page::CLOSE);
    out
}

/// Iterations of all rows on all cases, and how to read them.
fn overview(out: &mut String, comparison: &Comparison) {
    out.push_str("<section>\n<h2>Iterations</h2>\n");
    if let Some(growth) = reading::growth(comparison) {
        put!(out, "<p class=\"reading\">{}</p>\n", esc(&growth));
    }
    out.push_str("<div class=\"scroll\"><table>\n<thead><tr><th>method</th><th>solver</th>");
    for case in &comparison.cases {
        put!(out, "<th class=\"n\">{}<small>n = {}</small></th>", esc(&case.label), case.n);
    }
    out.push_str("</tr></thead>\n");
    let groups = comparison.groups();
    for (group, rows) in &groups {
        out.push_str("<tbody>\n");
        group_head(out, group, groups.len(), 2 + comparison.cases.len());
        for &row in rows {
            let of = &comparison.rows[row];
            let method = of.solver.name();
            put!(out, "<tr>{}<td>{method}</td>", key(comparison, row));
            for (case, cells) in comparison.cells.iter().enumerate() {
                let best = best(comparison, case, rows, |c| c.iterations().map(|(m, _)| m));
                let class = if best.contains(&row) { "n best" } else { "n" };
                put!(out, "<td class=\"{class}\">{}</td>", iterations(&cells[row]));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></div>\n<ul class=\"rules\">\n");
    for rule in comparison.rules() {
        put!(out, "<li>{}</li>\n", esc(&rule));
    }
    out.push_str("<li>The fewest iterations and the shortest times of a group are marked.</li>\n");
    out.push_str("</ul>\n</section>\n");
}

/// One case: curves, readings, all columns.
fn section(out: &mut String, comparison: &Comparison, case: usize) {
    let (info, cells) = (&comparison.cases[case], &comparison.cells[case]);
    put!(
        out,
        "<section>\n<h2>{}</h2>\n<p class=\"about\">{} unknowns, {} entries, {} · {}</p>\n",
        esc(&info.label),
        info.n,
        info.nnz,
        info.counted(),
        esc(&info.description)
    );
    let groups = comparison.groups();
    for (group, rows) in &groups {
        let head =
            if groups.len() > 1 { format!("<b>{}:</b> ", esc(group)) } else { String::new() };
        let text = reading::of_group(comparison, case, rows);
        put!(out, "<p class=\"reading\">{head}{}</p>\n", esc(&text));
    }
    let place = |row: usize| groups.iter().position(|(_, rows)| rows.contains(&row));
    let mut measures: Vec<&str> = Vec::new();
    for row in &comparison.rows {
        if !measures.contains(&row.solver.measure()) {
            measures.push(row.solver.measure());
        }
    }
    for measure in measures {
        let axis = match measure {
            "relative residual" => "relative residual ‖b − Ax‖ / ‖b‖",
            "error" => "error ‖x − x*‖",
            other => other,
        };
        let shown =
            comparison.rows.iter().enumerate().filter(|(_, row)| row.solver.measure() == measure);
        let curves: Vec<Curve<'_>> = shown
            .map(|(k, row)| Curve {
                label: &row.label,
                colour: k,
                dashed: place(k).is_some_and(|group| group % 2 == 1),
                history: &cells[k].history,
            })
            .collect();
        if let Some(svg) = plot::convergence(&curves, axis) {
            let which = if info.systems > 1 { " of the first system" } else { "" };
            put!(
                out,
                "<figure>\n{svg}\n<figcaption>Convergence{which}, {}; both axes are logarithmic.\
                 </figcaption>\n</figure>\n",
                esc(&info.label)
            );
        }
    }
    table(out, comparison, case);
    sent(out, comparison, case);
    out.push_str("</section>\n");
}

/// What the ranks sent and held.
fn sent(out: &mut String, comparison: &Comparison, case: usize) {
    let rows = ranks::rows(comparison, case);
    if rows.is_empty() {
        return;
    }
    out.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (k, head) in ranks::HEADS.iter().enumerate() {
        let class = if k == 0 { "" } else { " class=\"n\"" };
        put!(out, "<th{class}>{head}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (row, texts) in rows {
        put!(out, "<tr>{}", key(comparison, row));
        for text in texts {
            put!(out, "<td class=\"n\">{}</td>", esc(&text));
        }
        out.push_str("</tr>\n");
    }
    put!(out, "</tbody>\n</table></div>\n<p class=\"about\">{} All numbers: ", esc(ranks::CAPTION));
    out.push_str("<a href=\"traffic.csv\">traffic.csv</a>.</p>\n");
}

fn table(out: &mut String, comparison: &Comparison, case: usize) {
    let cells = &comparison.cells[case];
    out.push_str(
        "<div class=\"scroll\"><table>\n<thead><tr><th>method</th><th>solver</th>\
         <th class=\"n\">iterations</th><th>outcome</th>\
         <th class=\"n\">‖b−Ax‖/‖b‖<small>true</small></th>\
         <th class=\"n\">nnz(M)<small>/ nnz(A)</small></th><th class=\"n\">memory</th>\
         <th class=\"n\">setup</th><th class=\"n\">solve</th><th class=\"n\">both</th></tr></thead>\n",
    );
    let groups = comparison.groups();
    for (group, rows) in &groups {
        out.push_str("<tbody>\n");
        group_head(out, group, groups.len(), 10);
        let fewest = best(comparison, case, rows, |c| c.iterations().map(|(m, _)| m));
        let fastest = best(comparison, case, rows, |c| c.seconds());
        let class = |best: &[usize], row| if best.contains(&row) { "n best" } else { "n" };
        for &row in rows {
            let cell = &cells[row];
            let show = |x: Option<f64>, how: fn(f64) -> String| x.map_or("–".into(), how);
            let outcome = cell.outcome();
            let ended = if cell.all_converged() { "good" } else { "bad" };
            put!(
                out,
                "<tr>{}<td>{}</td><td class=\"{}\">{}</td><td class=\"{ended}\">{}</td>",
                key(comparison, row),
                comparison.rows[row].solver.name(),
                class(&fewest, row),
                iterations(cell),
                esc(&outcome)
            );
            let plain = [
                show(cell.worst(), number),
                show(cell.median(|n| n.nnz_ratio), |ratio| format!("{ratio:.2}")),
                show(cell.median(|n| n.bytes), bytes),
                show(cell.median(|n| Some(n.setup)), seconds),
                show(cell.median(|n| Some(n.solve)), seconds),
            ];
            for text in plain {
                put!(out, "<td class=\"n\">{text}</td>");
            }
            let both = show(cell.seconds(), seconds);
            put!(out, "<td class=\"{}\">{both}</td></tr>\n", class(&fastest, row));
            if let Some(fallback) = cell.fallback() {
                put!(out, "<tr class=\"remark\"><td colspan=\"10\">{}</td></tr>\n", esc(&fallback));
            }
            for remark in cell.remarks() {
                put!(
                    out,
                    "<tr class=\"remark\"><td colspan=\"10\">{}</td></tr>\n",
                    esc(&remark).replace('\n', "<br>")
                );
            }
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></div>\n");
}

/// What stands behind each label.
fn methods(out: &mut String, comparison: &Comparison) {
    out.push_str(
        "<section>\n<h2>Methods</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>label</th>\
         <th>preconditioner</th><th>parameters given</th><th>solver</th><th>stops at</th></tr>\
         </thead>\n<tbody>\n",
    );
    for (k, row) in comparison.rows.iter().enumerate() {
        put!(
            out,
            "<tr>{}<td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            key(comparison, k),
            esc(&row.preconditioner),
            if row.parameters.is_empty() { "defaults".into() } else { esc(&row.parameters) },
            esc(&row.solver.title()),
            esc(&super::stop(&row.solver))
        );
    }
    out.push_str(
        "</tbody>\n</table></div>\n<p class=\"about\">Raw numbers: <a href=\"results.csv\">\
         results.csv</a> (every solve), <a href=\"history.csv\">history.csv</a> (the stopping \
         measure of the first system of each case, iteration by iteration).</p>\n</section>\n",
    );
}

fn group_head(out: &mut String, group: &str, groups: usize, columns: usize) {
    if groups > 1 {
        put!(out, "<tr class=\"group\"><th colspan=\"{columns}\">{}</th></tr>\n", esc(group));
    }
}

/// The first cell of a row: a dot in the colour of its curve, and its label.
fn key(comparison: &Comparison, row: usize) -> String {
    let colour = row % plot::COLOURS;
    let label = esc(&comparison.rows[row].label);
    format!("<th class=\"row\"><i style=\"background:var(--c{colour})\"></i>{label}</th>")
}

fn iterations(cell: &super::Cell) -> String {
    match cell.iterations() {
        Some((average, most)) if cell.total() > 1 => {
            let some = if cell.all_converged() { "" } else { "<small>some</small> " };
            format!("{some}{} <small>({most})</small>", mean(average))
        }
        Some((_, most)) => most.to_string(),
        None => "–".into(),
    }
}

/// Rows of a group that converged everywhere and have the smallest value.
fn best(
    comparison: &Comparison,
    case: usize,
    rows: &[usize],
    value: impl Fn(&super::Cell) -> Option<f64>,
) -> Vec<usize> {
    let cells = &comparison.cells[case];
    let value = |row: usize| value(&cells[row]).unwrap_or(f64::INFINITY);
    let good: Vec<usize> = rows.iter().copied().filter(|&row| cells[row].all_converged()).collect();
    let least = good.iter().map(|&row| value(row)).fold(f64::INFINITY, f64::min);
    good.into_iter().filter(|&row| rows.len() > 1 && value(row) == least).collect()
}
