//! How a training run goes: a page with its curves, and the numbers in CSV and JSON.
//!
//! `training.csv` is written before every checkpoint, so that it has all that led there; a run that is resumed goes on from what is there, up to the step
//! that it resumes from.
use crate::files;
use precondor::report::{
    self, Cell, Column, Document, Figure, Provenance, Row, Section, Table, csv, plot,
};
use precondor_core::train::Progress;
use precondor_core::{Error, Result, input};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What is written into the folder.
const FILES: [&str; 3] = ["index.html", "training.csv", "training.json"];
const COLUMNS: [&str; 4] = ["step", "loss", "learning_rate", "validation_loss"];

/// What a training run told so far.
pub struct Course {
    folder: PathBuf,
    _claim: files::Claim,
    steps: Vec<Step>,
}

/// One step that was told of.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Step {
    number: u64,
    loss: f64,
    rate: f64,
    validation: Option<f64>,
}

/// What the page says beside the numbers.
pub struct About<'a> {
    pub method: &'a str,
    pub config: &'a Path,
    pub command: String,
    /// The configuration as it was written.
    pub text: String,
    pub provenance: Provenance,
    pub output: &'a Path,
    pub bytes: usize,
    pub seconds: f64,
    /// What was trained on, in words.
    pub family: String,
}

impl Course {
    /// The folder, made and claimed; with what an earlier part of a run that is resumed has written.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written, or what is there is not understood.
    pub fn new(folder: &Path, resume: bool) -> Result<Self> {
        files::make_folder(folder)?;
        let claim = files::Claim::folder(folder)?;
        let paths = FILES.map(|name| folder.join(name));
        let wanted: Vec<_> = paths.iter().map(|path| ("--report", Some(path.as_path()))).collect();
        files::ready(&wanted)?;
        let before = folder.join(FILES[1]);
        let steps = match resume && before.exists() {
            true => read(&before)?,
            false => Vec::new(),
        };
        let course = Course { folder: folder.to_owned(), _claim: claim, steps };
        // Numbers of another run do not stay.
        course.keep()?;
        Ok(course)
    }

    pub fn progress(&mut self, told: &Progress) {
        let &Progress { step: number, loss, learning_rate: rate, .. } = told;
        // What was told after the checkpoint that a run was resumed from is told again.
        let mut validation = None;
        while let Some(last) = self.steps.pop_if(|last| last.number >= number) {
            validation = last.validation.filter(|_| last.number == number && last.loss.is_nan());
        }
        self.steps.push(Step { number, loss, rate, validation });
    }

    /// Of a step before, or of the one that is told next.
    pub fn validated(&mut self, number: u64, loss: f64) {
        match self.steps.iter_mut().rfind(|step| step.number == number) {
            Some(step) => step.validation = Some(loss),
            None => {
                let validation = Some(loss);
                self.steps.push(Step { number, loss: f64::NAN, rate: f64::NAN, validation });
            }
        }
    }

    /// Writes the numbers.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep(&self) -> Result<()> {
        let known = |x: f64| if x.is_finite() { format!("{x:e}") } else { String::new() };
        let line = |step: &Step| {
            let validation = step.validation.map_or(String::new(), known);
            csv::line([step.number.to_string(), known(step.loss), known(step.rate), validation])
        };
        let text: String =
            std::iter::once(csv::line(COLUMNS)).chain(self.steps.iter().map(line)).collect();
        files::write(&self.folder.join(FILES[1]), text.as_bytes())
    }

    /// Writes everything.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn finish(&self, about: About<'_>) -> Result<()> {
        self.keep()?;
        let document = self.document(about);
        let text = serde_json::to_string_pretty(&report::json(&document));
        let text = text.map_err(|e| Error::Data(e.to_string()))?;
        files::write(&self.folder.join(FILES[2]), format!("{text}\n").as_bytes())?;
        files::write(&self.folder.join(FILES[0]), report::page(&document).as_bytes())
    }

    /// The least validation loss and its step.
    fn best(&self) -> Option<(u64, f64)> {
        let seen = self.steps.iter().filter_map(|step| Some((step.number, step.validation?)));
        seen.filter(|(_, loss)| loss.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn document(&self, about: About<'_>) -> Document {
        let losses = || self.steps.iter().filter(|step| step.loss.is_finite());
        let (first, last) = (losses().next(), losses().next_back());
        let columns = [
            ("steps", "steps"),
            ("first_loss", "first loss"),
            ("last_loss", "last loss"),
            ("validation_loss", "least validation loss"),
            ("best_step", "at step"),
            ("bytes", "model"),
            ("seconds", "time"),
        ];
        let cells = vec![
            Cell::of(last, |step| Cell::Count(step.number)),
            Cell::of(first, |step| Cell::Number(step.loss)),
            Cell::of(last, |step| Cell::Number(step.loss)),
            Cell::of(self.best(), |(_, loss)| Cell::Number(loss)),
            Cell::of(self.best(), |(step, _)| Cell::Count(step)),
            Cell::Bytes(about.bytes as f64),
            Cell::Seconds(about.seconds),
        ];
        let table = Table {
            id: "training".into(),
            columns: columns.map(|(key, head)| Column::new(key, head, "")).into(),
            rows: vec![Row { label: about.method.into(), cells, ..Row::default() }],
            ..Table::default()
        };
        let array = |of: &dyn Fn(&Step) -> Option<f64>| -> Value {
            self.steps
                .iter()
                .map(|step| of(step).filter(|x| x.is_finite()))
                .collect::<Vec<_>>()
                .into()
        };
        let data = json!({
            "step": self.steps.iter().map(|step| step.number).collect::<Vec<_>>(),
            "loss": array(&|step| Some(step.loss)),
            "learning_rate": array(&|step| Some(step.rate)),
            "validation_loss": array(&|step| step.validation),
        });
        let section = Section {
            id: "course".into(),
            title: "How it went".into(),
            tables: vec![table],
            figures: self.figures(),
            data: data.as_object().cloned().unwrap_or_default(),
            ..Section::default()
        };
        Document {
            title: format!("{}: training {}", about.config.display(), about.method),
            command: about.command,
            provenance: about.provenance,
            notes: vec![
                format!("Trained on: {}.", about.family),
                "The loss is the mean over the steps since it was told last; that of validation is over systems that no step has seen."
                    .into(),
            ],
            readings: vec![format!("The model is {}.", about.output.display())],
            sections: vec![section],
            configuration: Some(about.text),
            files: vec![(FILES[1], "every step that was told".into()), (FILES[2], "the same, and this page's numbers".into())],
            data: Map::new(),
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let points = |of: &dyn Fn(&Step) -> Option<f64>| -> Vec<(f64, f64)> {
            let all = self.steps.iter().filter_map(|step| Some((step.number as f64, of(step)?)));
            plot::thinned(all.filter(|(_, y)| *y > 0.0 && y.is_finite()).collect())
        };
        let curve = |label, colour, points| plot::Points { label, colour, points };
        let mut losses = vec![curve("loss", 0, points(&|step| Some(step.loss)))];
        let validation = points(&|step| step.validation);
        if !validation.is_empty() {
            losses.push(curve("validation", 1, validation));
        }
        let rate = [curve("rate", 2, points(&|step| Some(step.rate)))];
        let drawn = [
            (plot::spectra(&losses, ["step", "loss"]), "The loss, step by step."),
            (plot::spectra(&rate, ["step", "learning rate"]), "The rate of the steps."),
        ];
        let figure = |(svg, caption): (Option<String>, &str)| {
            Some(Figure { svg: svg?, caption: caption.into(), half: true })
        };
        drawn.into_iter().filter_map(figure).collect()
    }
}

/// The steps of an earlier part of a run.
fn read(path: &Path) -> Result<Vec<Step>> {
    let bytes = input::read(path).map_err(|e| Error::file(path, e))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let wrong = |line: usize, why: &str| {
        let what = "give --report another folder, or delete it";
        Err(Error::file(path, format!("line {line}: {why}; {what}")))
    };
    if lines.next() != Some(COLUMNS.join(",").as_str()) {
        return wrong(1, "these are no numbers of a training run");
    }
    let mut steps = Vec::new();
    for (k, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |text: &str| if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() };
        let step = match fields.as_slice() {
            [step, loss, rate, validation] => (|| {
                let validation = number(validation)?;
                Some(Step {
                    number: step.parse().ok()?,
                    loss: number(loss)?,
                    rate: number(rate)?,
                    validation: (!validation.is_nan()).then_some(validation),
                })
            })(),
            _ => None,
        };
        match step {
            Some(step) => steps.push(step),
            None => return wrong(k + 2, "this is no step of a training run"),
        }
    }
    Ok(steps)
}
