//! What was found, as a document: who is best where, then set by set.
use super::methods::{LEARNED, TRAINED};
use super::record::{Of, Record, Solve};
use super::sets::Set;
use super::verdict::{ITERATIONS, PRODUCTS, TIME, Verdict};
use precondor::report::format::{number, seconds};
use precondor::report::profile::{self, MEASURES, Values, ratios, share};
use precondor::report::{Cell, Column, Iterations, Row, Section, Table, csv, median};
use serde_json::{Value, json};

/// A set with all that was found.
pub struct Found {
    pub set: Set,
    /// Systems of it, or of each of its members, that were solved.
    pub systems: u64,
    pub record: Record,
    /// Seconds of training on the set.
    pub trained: Option<f64>,
    /// Methods that are not there.
    pub missing: Vec<String>,
    pub seconds: f64,
}

/// A set as a section, and its verdict.
pub struct Told {
    pub section: Section,
    pub verdict: Verdict,
    values: [Values; 3],
}

impl Found {
    pub fn told(&self, seed: u64) -> Told {
        let values = self.record.values();
        let verdict = Verdict::of(&self.record, &values);
        let label = |k: usize| self.record.methods[k].label.clone();
        let figures = MEASURES.iter().zip(&values).filter_map(|(measure, values)| {
            profile::figure(measure, &profile::curves(values, measure), label)
        });
        let section = Section {
            id: self.set.name.clone(),
            title: self.set.title.clone(),
            notes: self.notes(seed),
            tables: vec![self.table(&values, &verdict)],
            figures: figures.collect(),
            seconds: Some(self.seconds),
            ..Section::default()
        };
        Told { section, verdict, values }
    }

    fn notes(&self, seed: u64) -> Vec<String> {
        let range = |[least, most]: [u64; 2]| match least == most {
            true => most.to_string(),
            false => format!("{least} to {most}"),
        };
        let Record { n, nnz, .. } = &self.record;
        let mut notes = vec![
            self.set.about.clone(),
            format!(
                "{} systems, {} unknowns, {} entries; test systems from seed {seed}. Stopped at {}.",
                self.record.systems(),
                range(*n),
                range(*nnz),
                self.set.rule.told()
            ),
        ];
        if self.systems < self.set.systems {
            notes.push(format!("Cut: {} of {} systems.", self.systems, self.set.systems));
        }
        if !self.missing.is_empty() {
            notes.push(format!("Not there: {}.", self.missing.join(", ")));
        }
        notes
    }

    fn table(&self, values: &[Values; 3], verdict: &Verdict) -> Table {
        let systems = self.record.systems();
        let rows = self.record.methods.iter().enumerate();
        let mut rows: Vec<Row> = rows.map(|(k, of)| self.row((k, of), values, verdict)).collect();
        rows.sort_by_key(|row| self.place(&row.group));
        rows.extend(self.set.published.iter().map(|figure| {
            let mut cells = vec![Cell::None; 11];
            cells[1] = Cell::Number(figure.iterations);
            let kind = if figure.learned { "learned" } else { "classical" };
            let remarks = vec![format!("printed, {kind}: {}", figure.source)];
            let (label, group) = (figure.label.to_owned(), "published".to_owned());
            Row { label, group, cells, remarks, ..Row::default() }
        }));
        let readings = [TIME, PRODUCTS, ITERATIONS].into_iter();
        Table {
            id: "methods".into(),
            columns: vec![
                Column::new("failed", "not solved", &format!("of {systems}")).marked(),
                Column::new("iterations", "iterations", "mean (max)").marked(),
                Column::new("products", "products", "mean").marked(),
                Column::new("nnz_ratio", "nnz(M)/nnz(A)", ""),
                Column::new("setup_seconds", "setup", "median"),
                Column::new("solve_seconds", "solve", "median"),
                Column::new("seconds", "both", "mean"),
                Column::new("least_time", "ρ(1)", "time"),
                Column::new("twice_time", "ρ(2)", "time"),
                Column::new("training_seconds", "training", ""),
                Column::new("break_even", "won back", "after systems"),
            ],
            rows,
            readings: readings.filter_map(|k| verdict.told(k, &self.record)).collect(),
            ..Table::default()
        }
    }

    /// Groups in the order in which they first appear.
    fn place(&self, group: &str) -> usize {
        let methods = self.record.methods.iter();
        methods.map(|of| &of.group).position(|other| other == group).unwrap_or(usize::MAX)
    }

    fn row(&self, (k, of): (usize, &Of), values: &[Values; 3], verdict: &Verdict) -> Row {
        let solved: Vec<&Solve> = of.solves.iter().filter(|solve| solve.solved()).collect();
        let counts = solved.iter().map(|solve| solve.iterations).collect();
        let middle = |of: &dyn Fn(&Solve) -> Option<f64>| {
            Cell::of(median(solved.iter().filter_map(|solve| of(solve)).collect()), Cell::Number)
        };
        let in_seconds = |cell: Cell| match cell {
            Cell::Number(x) => Cell::Seconds(x),
            other => other,
        };
        let training = self.trained.filter(|_| of.label == TRAINED);
        let fastest = verdict.classical[TIME];
        let back = training.zip(fastest).map(|(seconds, other)| {
            let systems = verdict.break_even(k, other, seconds);
            systems.map_or(Cell::Text("never".into()), |systems| Cell::Count(systems as u64))
        });
        let ratios = ratios(&values[TIME], k);
        let within = |tau| Cell::Share(share(&ratios, of.solves.len(), tau));
        let mean = |measure: usize| Cell::of(verdict.means[measure][k], MEASURES[measure].cell);
        let cells = vec![
            Cell::Count((of.solves.len() - solved.len()) as u64),
            Cell::Iterations(Iterations::of(counts, of.solves.len())),
            mean(PRODUCTS),
            middle(&|solve| solve.nnz_ratio),
            in_seconds(middle(&|solve| Some(solve.setup_seconds))),
            in_seconds(middle(&|solve| Some(solve.solve_seconds))),
            mean(TIME),
            within(1.0),
            within(2.0),
            Cell::of(training, Cell::Seconds),
            back.unwrap_or(Cell::None),
        ];
        let mut remarks: Vec<String> = of.solves.iter().find_map(Solve::why).into_iter().collect();
        let fell = of.solves.iter().filter(|solve| solve.fell_back()).count();
        if fell > 0 {
            remarks.push(format!("{fell} solves went on without it"));
        }
        remarks.extend(self.against_fsai((k, training), verdict));
        let colour = Some(k);
        Row {
            label: of.label.clone(),
            group: of.group.clone(),
            colour,
            cells,
            remarks,
            ..Row::default()
        }
    }

    /// When the training is won back against the form that does not learn.
    fn against_fsai(
        &self,
        (k, training): (usize, Option<f64>),
        verdict: &Verdict,
    ) -> Option<String> {
        let fsai = self.record.methods.iter().position(|of| of.label == "FSAI")?;
        Some(match verdict.break_even_alike(k, fsai, training?) {
            Some(systems) => {
                format!("against FSAI the training is won back after {systems} systems")
            }
            None => "against FSAI the training is never won back".to_owned(),
        })
    }
}

/// The first line of the result.
pub fn title(told: &[Told]) -> String {
    let lost = |measure: usize| {
        told.iter().filter(|told| told.verdict.wins(measure) == Some(false)).count()
    };
    format!(
        "Learned against classical methods: networks lose in time on {} of {} sets, in products with A on {}",
        lost(TIME),
        told.len(),
        lost(PRODUCTS)
    )
}

/// The head of the result: where learned methods lose, and where they win.
pub fn head(found: &[Found], told: &[Told]) -> String {
    let those = |measure: usize, wins: bool| -> Vec<&str> {
        let sets = found.iter().zip(told);
        let sets = sets.filter(|(_, told)| told.verdict.wins(measure) == Some(wins));
        sets.map(|(found, _)| found.set.name.as_str()).collect()
    };
    let sets = |names: &[&str]| match names {
        [] => "no set".to_owned(),
        names => names.join(", "),
    };
    let sentence = |measure: usize, what: &str| {
        format!(
            "In {what} learned methods lose to the best classical one on {}, and win on {}.",
            sets(&those(measure, false)),
            sets(&those(measure, true))
        )
    };
    format!(
        "{} {}",
        sentence(TIME, "time, training left out,"),
        sentence(PRODUCTS, "products with A")
    )
}

/// The table over all sets, and profiles over their systems of the methods that met on all of them.
pub fn over_all(found: &[Found], told: &[Told]) -> Section {
    let row = |(found, told): (&Found, &Told)| {
        let Verdict { means, classical, learned, .. } = &told.verdict;
        let of = |measure: usize, best: &[Option<usize>; 3]| {
            let k = best[measure]?;
            let value = means[measure][k]?;
            let value = if measure == TIME { seconds(value) } else { number(value) };
            Some(Cell::Text(format!("{} {value}", found.record.methods[k].label)))
        };
        let ratio = |measure: usize| Cell::of(told.verdict.ratio(measure), Cell::Number);
        let cells = vec![
            Cell::Count(found.record.systems() as u64),
            of(TIME, classical).unwrap_or(Cell::None),
            of(TIME, learned).unwrap_or(Cell::None),
            ratio(TIME),
            of(PRODUCTS, classical).unwrap_or(Cell::None),
            of(PRODUCTS, learned).unwrap_or(Cell::None),
            ratio(PRODUCTS),
        ];
        Row { label: found.set.name.clone(), group: "sets".into(), cells, ..Row::default() }
    };
    let labels: Vec<&str> = found.first().map_or(Vec::new(), |first| {
        let labels = first.record.methods.iter().map(|of| of.label.as_str());
        let has =
            |found: &Found, label: &str| found.record.methods.iter().any(|of| of.label == label);
        labels.filter(|label| found.iter().all(|found| has(found, label))).collect()
    });
    let all = |measure: usize| -> Values {
        let one = |label: &&str| {
            let of = found.iter().zip(told).flat_map(|(found, told)| {
                let k = found.record.methods.iter().position(|of| of.label == *label);
                k.map_or(&[][..], |k| &told.values[measure][k])
            });
            of.copied().collect()
        };
        labels.iter().map(one).collect()
    };
    let figures = MEASURES.iter().enumerate().filter_map(|(k, measure)| {
        profile::figure(measure, &profile::curves(&all(k), measure), |k| labels[k].to_owned())
    });
    Section {
        id: "sets".into(),
        title: "Over all sets".into(),
        notes: vec![format!(
            "{} ρ(τ): the share of systems solved in at most τ times the least time. Times are of one solve, setup \
             included, training apart.",
            profile::about_means("method")
        )],
        tables: vec![Table {
            id: "sets".into(),
            columns: vec![
                Column::new("systems", "systems", ""),
                Column::new("classical_time", "time", "best classical"),
                Column::new("learned_time", "time", "best learned"),
                Column::new("time_ratio", "learned/classical", "time"),
                Column::new("classical_products", "products", "best classical"),
                Column::new("learned_products", "products", "best learned"),
                Column::new("products_ratio", "learned/classical", "products"),
            ],
            rows: found.iter().zip(told).map(row).collect(),
            ..Table::default()
        }],
        figures: figures.collect(),
        ..Section::default()
    }
}

/// All tables as one, and the corners of all profiles.
pub fn files(found: &[Found], told: &[Told]) -> [(&'static str, String); 2] {
    let (mut tables, mut profiles) =
        (String::new(), csv::line(["set", "measure", "label", "tau", "share"]));
    for (found, told) in found.iter().zip(told) {
        let name = &found.set.name;
        for (k, line) in
            told.section.tables.iter().flat_map(|table| lines(csv::table(table))).enumerate()
        {
            match (k, tables.is_empty()) {
                (0, true) => tables = format!("set,{line}"),
                (0, false) => {}
                _ => tables += &format!("{name},{line}"),
            }
        }
        for (measure, values) in MEASURES.iter().zip(&told.values) {
            for (k, points) in profile::curves(values, measure) {
                for (tau, share) in points {
                    let label = &found.record.methods[k].label;
                    let numbers = [format!("{tau:e}"), format!("{share:e}")];
                    profiles += &csv::line([name, measure.key, label, &numbers[0], &numbers[1]]);
                }
            }
        }
    }
    [("learned.csv", tables), ("profile.csv", profiles)]
}

fn lines(text: String) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// What JSON has beside the tables.
pub fn data(found: &[Found], told: &[Told]) -> Value {
    let one = |(found, told): (&Found, &Told)| {
        let verdict = &told.verdict;
        let [time, iterations, products] = [TIME, ITERATIONS, PRODUCTS].map(|k| verdict.wins(k));
        json!({
            "name": found.set.name,
            "systems": found.record.systems(),
            "learned_wins": { "time": time, "iterations": iterations, "products": products },
            "training_seconds": found.trained,
            "learned": found.record.methods.iter().filter(|of| of.group == LEARNED).map(|of| &of.label).collect::<Vec<_>>(),
        })
    };
    found.iter().zip(told).map(one).collect()
}
