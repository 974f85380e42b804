//! Model files and checkpoints: safetensors, with everything about their making in the header.
//!
//! The header's metadata has the single key `precondor`, whose value is a [`Card`] as JSON (a single key,
//! because the format keeps them in no order and equal models should be equal files). Reading checks
//! the method, every name, shape and number type, and that all numbers are finite; the sizes are
//! checked against the file before anything is allocated for them.

use std::sync::{Arc, Mutex, PoisonError};

use precondor_core::prelude::*;
use precondor_core::train::Samples;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::net::Net;

/// What a file is and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The method the model is for.
    pub method: String,
    /// `model`, or `checkpoint` for the state of a training run.
    pub kind: Kind,
    /// Version of the crate that wrote it.
    pub version: String,
    /// Shape of the network.
    pub architecture: Value,
    /// Parameters of the training, seed included.
    pub training: Value,
    /// Description of the training systems.
    pub samples: Value,
    /// What was measured at the end of the training, or the state of an unfinished one.
    pub metrics: Value,
    /// Of the model that the training started from, where it was one: its card, but for the metrics, and a digest of its
    /// file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Value>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Weights ready for use.
    Model,
    /// The state of a training run.
    Checkpoint,
}

const KEY: &str = "precondor";

impl Card {
    /// That of a training run; what it is and its metrics are set when it is written.
    ///
    /// # Errors
    /// None that can happen for parameters that came out of a configuration.
    pub fn of_run(
        (method, version): (&str, &str),
        architecture: Value,
        params: &impl Serialize,
        samples: &dyn Samples,
    ) -> Result<Self> {
        Ok(Card {
            method: method.into(),
            kind: Kind::Checkpoint,
            version: version.into(),
            architecture,
            training: serde_json::to_value(params)
                .map_err(|e| Error::Data(format!("training parameters: {e}")))?,
            samples: serde_json::from_str(&samples.describe()).unwrap_or(Value::Null),
            metrics: Value::Null,
            initial: None,
        })
    }

    /// The same for a run that starts from a model.
    #[must_use]
    pub fn after(self, initial: Option<&Initial>) -> Self {
        Card { initial: initial.map(Initial::told), ..self }
    }

    /// Adds metrics of the method's own to those that are there.
    pub fn add_metrics(&mut self, more: Value) {
        match (&mut self.metrics, more) {
            (Value::Object(all), Value::Object(more)) => all.extend(more),
            (all, more) => *all = more,
        }
    }

    /// Reads the card of a model or a checkpoint; the arrays are not looked at.
    ///
    /// # Errors
    /// [`Error::Data`] where the file is damaged or was not written by this program.
    pub fn of(bytes: &[u8]) -> Result<Card> {
        let bad = |what: String| Error::Data(format!("not a usable model: {what}"));
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| bad(format!("the file is damaged or no safetensors file ({e})")))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| bad(format!("its header has no '{KEY}' entry")))?;
        serde_json::from_str(text)
            .map_err(|e| bad(format!("its '{KEY}' entry is not understood ({e})")))
    }
}

/// A model that a training starts from: its weights take the place of random ones.
pub struct Initial {
    path: String,
    bytes: Vec<u8>,
    card: Card,
}

impl Initial {
    /// The model that the training parameter `initial` names; none where it names none. Collective.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; [`Error::Data`] where it is no model.
    pub fn read(path: Option<&str>, host: &dyn Host) -> Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        let bytes = host.read(path)?;
        let card = Card::of(&bytes).map_err(|e| e.inside(format!("initial: '{path}'")))?;
        Ok(Some(Initial { path: path.to_owned(), bytes, card }))
    }

    /// Its weights: what `weights` makes of its bytes.
    ///
    /// # Errors
    /// Those of `weights`, with the file's name.
    pub fn weights<W>(&self, weights: impl FnOnce(&[u8]) -> Result<W>) -> Result<W> {
        weights(&self.bytes).map_err(|e| e.inside(format!("initial: '{}'", self.path)))
    }

    /// Refuses a model of another architecture than that of the training.
    ///
    /// # Errors
    /// [`Error::Parameter`] with both.
    pub fn require<A: PartialEq + Serialize>(&self, its: &A, asked: &A) -> Result<()> {
        if its == asked {
            return Ok(());
        }
        let [its, asked] = [its, asked].map(|of| serde_json::to_value(of).unwrap_or_default());
        Err(Error::Parameter(format!(
            "parameter 'initial': the model '{}' has the architecture {its}, and this training asks for {asked}: give the \
             parameters that it was trained with, or leave 'initial' out",
            self.path
        )))
    }

    fn told(&self) -> Value {
        let mut told = serde_json::to_value(&self.card).unwrap_or_default();
        if let Some(fields) = told.as_object_mut() {
            fields.remove("metrics");
            fields.insert("digest".into(), format!("{:016x}", fingerprint(&self.bytes)).into());
        }
        told
    }
}

/// The value of `x-precondor-models`, which stands at the root of a learned method's schema: for
/// each model that comes with the library, given as `(label, file, content)`, its label, its file
/// and its card. So everybody sees what a network was trained on without opening it.
pub fn shipped(models: &[(&str, &str, &[u8])]) -> Value {
    let describe = |&(label, file, bytes): &(&str, &str, &[u8])| json!({ "label": label, "file": file, "card": Card::of(bytes).ok() });
    models.iter().map(describe).collect()
}

/// The models that were read last: a sequence of systems reads its model once.
pub struct Recent<W>(Mutex<Vec<(Key, Arc<W>)>>);

/// The method that a model was read for, and the fingerprint of its bytes.
type Key = (&'static str, u64);

/// Models that are kept.
const KEPT: usize = 4;

impl<W> Recent<W> {
    /// None yet.
    pub const fn new() -> Self {
        Recent(Mutex::new(Vec::new()))
    }

    /// What `read` makes of the bytes of a model for `method`, now or before.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read(
        &self,
        bytes: &[u8],
        method: &'static str,
        read: impl FnOnce(&[u8]) -> Result<W>,
    ) -> Result<Arc<W>> {
        let key = (method, fingerprint(bytes));
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, weights)) = lock().iter().find(|(of, _)| *of == key) {
            return Ok(weights.clone());
        }
        let weights = Arc::new(read(bytes)?);
        let mut known = lock();
        known.truncate(KEPT - 1);
        known.insert(0, (key, weights.clone()));
        Ok(weights)
    }
}

impl<W> Default for Recent<W> {
    fn default() -> Self {
        Recent::new()
    }
}

/// 64 bits that hardly ever agree for two files.
fn fingerprint(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let mix =
        |print: u64, word: u64| (print.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let print = words.iter().map(|&word| u64::from_le_bytes(word)).fold(bytes.len() as u64, mix);
    rest.iter().map(|&byte| u64::from(byte)).fold(print, mix)
}

/// One named array of a file.
pub struct Part<'a> {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its numbers, as many as the product of the extents.
    pub values: &'a [f32],
}

/// The arrays of a network.
pub fn parts_of<'a>(net: &Net, parameters: &'a [f32]) -> impl Iterator<Item = Part<'a>> {
    net.tensors().iter().map(|tensor| Part {
        name: tensor.name.clone(),
        shape: vec![tensor.rows, tensor.columns],
        values: &parameters[tensor.range()],
    })
}

/// Writes a file.
pub fn write(card: &Card, parts: &[Part<'_>]) -> Result<Vec<u8>> {
    write_with_halves(card, parts, &[])
}

/// Writes a file in which the arrays `halves` are rounded to the upper half of an `f32` (bfloat16).
pub fn write_with_halves(card: &Card, parts: &[Part<'_>], halves: &[Part<'_>]) -> Result<Vec<u8>> {
    let fail = |e: &dyn std::fmt::Display| Error::Data(format!("model cannot be written: {e}"));
    let text = serde_json::to_string(card).map_err(|e| fail(&e))?;
    let whole = |part: &Part<'_>| part.values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let half = |part: &Part<'_>| part.values.iter().flat_map(|&v| half(v).to_le_bytes()).collect();
    let bytes: Vec<Vec<u8>> = parts.iter().map(whole).chain(halves.iter().map(half)).collect();
    let types = parts.iter().map(|_| Dtype::F32).chain(halves.iter().map(|_| Dtype::BF16));
    let mut views = Vec::new();
    for ((part, kind), bytes) in parts.iter().chain(halves).zip(types).zip(&bytes) {
        let view = TensorView::new(kind, part.shape.clone(), bytes).map_err(|e| fail(&e))?;
        views.push((part.name.as_str(), view));
    }
    let metadata = [(KEY.to_owned(), text)].into_iter().collect();
    safetensors::serialize(views, Some(metadata)).map_err(|e| fail(&e))
}

/// The upper half of the nearest number that has no lower half; ties go to the even one.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A file that was read; its arrays are taken out by name.
pub struct Reader<'a> {
    /// What it is.
    pub card: Card,
    tensors: SafeTensors<'a>,
    expected: usize,
}

impl<'a> Reader<'a> {
    /// Understands the header and checks that the file is a `kind` for `method`.
    pub fn new(bytes: &'a [u8], method: &str, kind: Kind) -> Result<Self> {
        let bad = |what: String| Error::Data(format!("not a usable model: {what}"));
        let card = Card::of(bytes)?;
        if card.method != method {
            return Err(bad(format!("it is for the method '{}', not '{method}'", card.method)));
        }
        if card.kind != kind {
            let name = |kind| if kind == Kind::Model { "a model" } else { "a checkpoint" };
            return Err(bad(format!("it is {}, not {}", name(card.kind), name(kind))));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
        Ok(Reader { card, tensors, expected: 0 })
    }

    /// Takes the array `name`, which must have this shape and finite numbers.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let bad = |what: String| Error::Data(format!("not a usable model: array '{name}' {what}"));
        let view = self.tensors.tensor(name).map_err(|_| bad("is missing".into()))?;
        if view.shape() != shape {
            return Err(bad(format!("has shape {:?}, not {shape:?}", view.shape())));
        }
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::BF16 => {
                let wide = |b: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                bytes.as_chunks().0.iter().map(wide).collect()
            }
            other => return Err(bad(format!("holds {other:?}, not F32 or BF16"))),
        };
        if let Some(place) = values.iter().position(|v| !v.is_finite()) {
            return Err(bad(format!("has {} at place {place}", values[place])));
        }
        self.expected += 1;
        Ok(values)
    }

    /// Takes the arrays of a network: its parameters.
    pub fn take_net(&mut self, net: &Net) -> Result<Vec<f32>> {
        let mut parameters = Vec::new();
        for tensor in net.tensors() {
            parameters.extend(self.take(&tensor.name, &[tensor.rows, tensor.columns])?);
        }
        Ok(parameters)
    }

    /// Checks that nothing was left.
    pub fn finish(self) -> Result<Card> {
        if self.expected == self.tensors.len() {
            return Ok(self.card);
        }
        Err(Error::Data(format!(
            "not a usable model: {} arrays, {} expected",
            self.tensors.len(),
            self.expected
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card {
            method: "some-method".into(),
            kind: Kind::Model,
            version: "1".into(),
            architecture: json!({"width": 2}),
            training: json!({"seed": 7}),
            samples: json!(null),
            metrics: json!({"loss": 0.5}),
            initial: None,
        }
    }

    fn file(values: &[f32]) -> Vec<u8> {
        write(&card(), &[Part { name: "a".into(), shape: vec![2, 2], values }]).unwrap()
    }

    fn refusal(bytes: &[u8], method: &str, kind: Kind, name: &str, shape: &[usize]) -> String {
        let read = Reader::new(bytes, method, kind);
        let error =
            read.and_then(|mut r| r.take(name, shape).and_then(|_| r.finish())).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_was_written_is_read_and_equal_models_are_equal_files() {
        let bytes = file(&[1.0, -2.5, 0.0, f32::MIN_POSITIVE]);
        assert_eq!(bytes, file(&[1.0, -2.5, 0.0, f32::MIN_POSITIVE]));
        let mut reader = Reader::new(&bytes, "some-method", Kind::Model).unwrap();
        assert_eq!(reader.take("a", &[2, 2]).unwrap(), [1.0, -2.5, 0.0, f32::MIN_POSITIVE]);
        assert_eq!(reader.finish().unwrap(), card());
    }

    #[test]
    fn halves_are_the_nearest_and_take_half_the_room() {
        let values = [1.0, -1.0 - 1.0 / 512.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 0.1];
        let part = || Part { name: "a".into(), shape: vec![5], values: &values };
        let halves = write_with_halves(&card(), &[], &[part()]).unwrap();
        assert!(halves.len() <= write(&card(), &[part()]).unwrap().len() - 8);
        let mut reader = Reader::new(&halves, "some-method", Kind::Model).unwrap();
        // Ties: 1 + 1/256 lies between 1 and 1 + 1/128, 1 + 3/256 between 1 + 1/128 and 1 + 2/128.
        let expected = [1.0, -1.0, 1.0, 1.0 + 2.0 / 128.0, 0.100_097_656];
        assert_eq!(reader.take("a", &[5]).unwrap(), expected);
    }

    #[test]
    fn everything_that_does_not_fit_is_refused_with_the_reason() {
        let good = file(&[1.0; 4]);
        let (method, kind) = ("some-method", Kind::Model);
        let why = |bytes: &[u8]| refusal(bytes, method, kind, "a", &[2, 2]);
        for cut in [0, 4, 20, good.len() - 1] {
            assert!(why(&good[..cut]).contains("damaged"), "{cut}: {}", why(&good[..cut]));
        }
        assert!(refusal(&good, "other", kind, "a", &[2, 2]).contains("'some-method', not 'other'"));
        assert!(
            refusal(&good, method, Kind::Checkpoint, "a", &[2, 2]).contains("not a checkpoint")
        );
        assert!(refusal(&good, method, kind, "b", &[2, 2]).contains("'b' is missing"));
        assert!(refusal(&good, method, kind, "a", &[4]).contains("[2, 2], not [4]"));
        assert!(why(&file(&[1.0, f32::NAN, 0.0, 0.0])).contains("NaN at place 1"));
        let mut two = card();
        two.metrics = json!({});
        let part = |name: &str| Part { name: name.into(), shape: vec![2, 2], values: &[0.0; 4] };
        assert!(
            why(&write(&two, &[part("a"), part("b")]).unwrap()).contains("2 arrays, 1 expected")
        );
        // A header that promises more than any memory holds.
        let mut huge = good.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(why(&huge).contains("damaged"));
    }
}
