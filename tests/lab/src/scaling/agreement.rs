//! What ranks sent beside what was predicted.
use super::record::{Case, Extent, Row};
use super::{schedule, work};
use precondor::report::{self, Cell, Column, Section, Table};
use precondor_core::comm::count::{Flow, Traffic};
use precondor_core::comm::predict::{self, Layout, Rank, Stencil};

/// A method on a case.
pub struct Found {
    label: String,
    group: String,
    /// What the formulas say; none where they do not cover it.
    agrees: Option<Agreement>,
}

/// Whether formulas and counters agree, number by number: the most of any rank and the sum over all.
struct Agreement {
    application: bool,
    /// Not where a solve started anew.
    iterations: bool,
    /// The messages of setup that are no collectives, where there is a formula.
    setup: Option<bool>,
    /// The most of any rank.
    application_flops: u64,
    iterations_flops: u64,
}

/// All methods on a case; none where nothing was sent.
pub fn of(case: &Case, ranks: u64) -> Vec<Found> {
    let rows = case.rows();
    let counted = rows.iter().filter(|row| row.first().is_some());
    let found = |row: &Row| Found {
        label: row.label.clone(),
        group: row.group.clone(),
        agrees: case.layout(ranks).and_then(|layout| agreement(row, layout)),
    };
    counted.map(found).collect()
}

fn agreement(row: &Row, layout: Layout) -> Option<Agreement> {
    let (system, sent) = row.first()?;
    let application = work::application(layout, &row.preconditioner, &row.parameters)?;
    let product = predict::product(layout, &Stencil::seven());
    let demand = schedule::of(&row.solver, layout.n(), system.iterations);
    let parts = product.into_iter().zip(&application).zip(0..layout.p);
    let whole: Vec<Rank> = parts
        .map(|((product, application), rank)| {
            demand.on(layout.p, layout.count(rank), product, *application)
        })
        .collect();
    let traffic = |ranks: &[Rank]| Extent::of(ranks.iter().map(|rank| rank.traffic));
    let flops = |ranks: &[Rank]| ranks.iter().map(|rank| rank.flops).max().unwrap_or(0);
    let setup = work::setup(layout, &row.preconditioner, &row.parameters).map(|setup| {
        let counted = [sent.setup.max.all_to_all, sent.setup.sum.all_to_all];
        let of = |flows: Vec<Flow>| {
            let all =
                flows.into_iter().map(|all_to_all| Traffic { all_to_all, ..Traffic::default() });
            let Extent { max, sum } = Extent::of(all);
            [max.all_to_all, sum.all_to_all]
        };
        // The first setup that needs it finds out whether A is symmetric.
        let looks = predict::symmetry(layout);
        let first = setup.iter().zip(looks).map(|(x, y)| *x + y).collect();
        of(setup) == counted || of(first) == counted
    });
    Some(Agreement {
        application: traffic(&application) == sent.application,
        iterations: traffic(&whole) == sent.iterations,
        setup,
        application_flops: flops(&application),
        iterations_flops: flops(&whole),
    })
}

/// The first method that sent something else in an application than its formula says, or in setup.
pub fn contradicted(found: &[Found]) -> Option<&str> {
    let wrong = |agrees: &Agreement| !agrees.application || agrees.setup == Some(false);
    let first = found.iter().find(|found| found.agrees.as_ref().is_some_and(wrong));
    first.map(|found| found.label.as_str())
}

/// A section of the report; none where nothing was sent.
pub fn section(case: &Case, found: &[Found]) -> Option<Section> {
    if found.is_empty() {
        return None;
    }
    let told = |agrees: bool| match agrees {
        true => Cell::Outcome("yes".into(), true),
        false => Cell::Outcome("NO".into(), false),
    };
    let row = |found: &Found| report::Row {
        label: found.label.clone(),
        group: found.group.clone(),
        cells: match &found.agrees {
            None => {
                [Cell::Text("no formula".into())].into_iter().chain(vec![Cell::None; 4]).collect()
            }
            Some(agrees) => vec![
                told(agrees.application),
                match agrees.iterations {
                    true => told(true),
                    false => Cell::Text("started anew".into()),
                },
                Cell::of(agrees.setup, told),
                Cell::Count(agrees.application_flops),
                Cell::Count(agrees.iterations_flops),
            ],
        },
        ..report::Row::default()
    };
    let table = Table {
        id: "predicted".into(),
        columns: vec![
            Column::new("application_agrees", "application", "as predicted"),
            Column::new("iterations_agree", "iterations", "as predicted"),
            Column::new("setup_agrees", "setup", "as predicted"),
            Column::new("application_flops", "application", "flops, the most of any rank"),
            Column::new("iterations_flops", "iterations", "flops, the most of any rank"),
        ],
        rows: found.iter().map(row).collect(),
        ..Table::default()
    };
    Some(Section {
        id: format!("predicted_{}", case.label.replace(|c: char| !c.is_alphanumeric(), "_")),
        title: format!("{}: predicted and counted", case.label),
        tables: vec![table],
        ..Section::default()
    })
}
