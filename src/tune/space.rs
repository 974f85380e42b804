//! What may be drawn of a method's parameters: read out of its schema.
//!
//! - Choices and switches are drawn evenly.
//! - Numbers with bounds are drawn between them, by their logarithm where both are positive; where a bound is missing, or
//!   zero, an eighth or eight times the default takes its place.
//! - `x-precondor-tune` narrows that: two numbers, the ends; the name of a parameter whose value is always taken over;
//!   false, nothing.
//! - Methods, files and grids that a parameter names are not drawn, nor texts and lists, nor what a configuration gives.
//!
//! What is drawn may contradict itself: the method refuses it then, and the next is drawn.
use precondor_core::kernel::random::{Purpose, Stream};
use precondor_core::schema::{FILE, GRID, METHOD, TUNE, resolve};
use serde_json::{Map, Number, Value};

/// Numbers between bounds that are this far apart, or further, are drawn by their logarithm.
const WIDE: f64 = 4.0;
/// How far a number goes from its default where it has no bound.
const REACH: f64 = 8.0;

/// Random numbers, one after the other: the same for a seed, whatever they are asked for.
pub struct Dice {
    stream: Stream,
    thrown: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { stream: Stream::new(Purpose::Training, seed, 0, &[0x7475_6e65]), thrown: 0 }
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.thrown += 1;
        0.5 * (self.stream.signed(self.thrown, 0) + 1.0)
    }

    /// Normal, of mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        self.thrown += 1;
        self.stream.normal(self.thrown)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n - 1)
    }

    /// One of as many as there are weights, each as often as its weight says.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        let last = weights.len() - 1;
        let past = |weight: &f64| {
            left -= weight;
            left < 0.0
        };
        weights.iter().position(past).unwrap_or(last)
    }

    /// Another order of `items`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for k in (1..items.len()).rev() {
            items.swap(k, self.below(k + 1));
        }
    }
}

/// How often a parameter is drawn.
pub type Weight<'w> = dyn Fn(&str) -> f64 + 'w;

/// A method, and what may be drawn of it.
#[derive(Clone, Debug)]
pub struct Space {
    /// None: M = I.
    pub method: Option<String>,
    /// What the configuration gives.
    pub given: Map<String, Value>,
    axes: Vec<Axis>,
    /// Parameters that equal another one, which is drawn.
    same: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Axis {
    key: String,
    /// Its value where it is left out.
    default: Value,
    range: Range,
}

#[derive(Clone, Debug, PartialEq)]
enum Range {
    /// Any of these.
    Choice(Vec<Value>),
    /// From the one to the other.
    Number { ends: [f64; 2], logarithmic: bool, whole: bool },
}

impl Space {
    /// M = I, of which there is nothing to draw.
    pub fn nothing() -> Space {
        Space { method: None, given: Map::new(), axes: Vec::new(), same: Vec::new() }
    }

    /// Of a method with this schema, of which these parameters are given.
    pub fn new(method: &str, schema: &Value, given: &Map<String, Value>) -> Space {
        let properties = schema["properties"].as_object();
        let (mut axes, mut same) = (Vec::new(), Vec::new());
        for (key, of) in properties.into_iter().flatten() {
            if given.contains_key(key) {
                continue;
            }
            if let Some(other) = of[TUNE].as_str() {
                same.push((key.clone(), other.to_owned()));
            } else if let Some(range) = range(schema, of) {
                let default = of["default"].clone();
                axes.push(Axis { key: key.clone(), default, range });
            }
        }
        Space { method: Some(method.to_owned()), given: given.clone(), axes, same }
    }

    /// How many parameters may be drawn.
    pub fn len(&self) -> usize {
        self.axes.len()
    }

    /// What is given, and some parameters drawn: one, half as often two, and so on, each as often as its weight says.
    pub fn draw(&self, weight: &Weight, dice: &mut Dice) -> Map<String, Value> {
        self.changed(&self.given, weight, dice, None)
    }

    /// Some parameters of `from` changed: numbers by about `step` of their range, or left out again.
    pub fn near(
        &self,
        from: &Map<String, Value>,
        step: f64,
        weight: &Weight,
        dice: &mut Dice,
    ) -> Map<String, Value> {
        self.changed(from, weight, dice, Some(step))
    }

    fn changed(
        &self,
        from: &Map<String, Value>,
        weight: &Weight,
        dice: &mut Dice,
        step: Option<f64>,
    ) -> Map<String, Value> {
        let mut params = from.clone();
        let mut left: Vec<&Axis> = self.axes.iter().collect();
        while !left.is_empty() {
            let weights: Vec<f64> = left.iter().map(|axis| weight(&axis.key)).collect();
            let axis = left.swap_remove(dice.weighted(&weights));
            let there = params.remove(&axis.key);
            let value = match (there, step) {
                (Some(Value::Number(value)), Some(step)) if dice.unit() < 0.75 => {
                    axis.range.beside(&value, step, dice)
                }
                // Left out again.
                (Some(_), Some(_)) if dice.unit() < 0.5 => axis.default.clone(),
                _ => axis.range.draw(dice),
            };
            if value != axis.default {
                params.insert(axis.key.clone(), value);
            }
            if dice.unit() < 0.5 {
                break;
            }
        }
        for (key, other) in &self.same {
            match params.get(other).cloned() {
                Some(value) => params.insert(key.clone(), value),
                None => params.remove(key),
            };
        }
        params
    }
}

impl Range {
    fn draw(&self, dice: &mut Dice) -> Value {
        match self {
            Range::Choice(values) => values[dice.below(values.len())].clone(),
            Range::Number { .. } => {
                let at = dice.unit();
                self.at(at)
            }
        }
    }

    /// A number near `value`.
    fn beside(&self, value: &Number, step: f64, dice: &mut Dice) -> Value {
        let Range::Number { ends: [low, high], logarithmic, .. } = self else {
            return self.draw(dice);
        };
        let value = value.as_f64().unwrap_or(*low).clamp(*low, *high);
        let place = if *logarithmic {
            (value / low).ln() / (high / low).ln()
        } else {
            (value - low) / (high - low)
        };
        let moved = self.at((place + step * dice.normal()).clamp(0.0, 1.0));
        // A whole number that would stay takes the next one.
        let stays = moved.as_f64() == Some(value);
        let sign = if dice.unit() < 0.5 { -1.0 } else { 1.0 };
        match self {
            Range::Number { whole: true, .. } if stays => whole((value + sign).clamp(*low, *high)),
            _ => moved,
        }
    }

    /// The number at a place from 0 to 1.
    fn at(&self, place: f64) -> Value {
        let Range::Number { ends: [low, high], logarithmic, whole: is_whole } = self else {
            return Value::Null;
        };
        let value =
            if *logarithmic { low * (high / low).powf(place) } else { low + (high - low) * place };
        if *is_whole { whole(value.clamp(*low, *high)) } else { short(value, [*low, *high]) }
    }
}

fn whole(value: f64) -> Value {
    (value.round() as i64).into()
}

/// A number of three digits, which people read and write, within its range.
fn short(value: f64, [low, high]: [f64; 2]) -> Value {
    let text = format!("{:.2e}", value);
    text.parse::<f64>().unwrap_or(value).clamp(low, high).into()
}

/// What may be drawn of a parameter; none where that is nothing.
fn range(root: &Value, of: &Value) -> Option<Range> {
    let inner = resolve(root, of);
    let marked = |keyword: &str| of[keyword] == true || inner[keyword] == true;
    if of[TUNE] == false || [METHOD, FILE, GRID].into_iter().any(marked) {
        return None;
    }
    let mut values = Vec::new();
    choices(root, of, &mut values);
    values.retain(|value| !value.is_null());
    if values.len() > 1 {
        return Some(Range::Choice(values));
    }
    let kinds = match &of["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if kinds.contains(&"boolean") {
        return Some(Range::Choice(vec![false.into(), true.into()]));
    }
    let whole = kinds.contains(&"integer");
    if !whole && !kinds.contains(&"number") {
        return None;
    }
    let [low, high] = ends(of, whole)?;
    let logarithmic = low > 0.0 && high / low >= WIDE;
    (high > low).then_some(Range::Number { ends: [low, high], logarithmic, whole })
}

/// All constants that a schema allows.
fn choices(root: &Value, of: &Value, found: &mut Vec<Value>) {
    let of = resolve(root, of);
    found.extend(of.get("const").cloned());
    for list in ["enum", "oneOf", "anyOf"] {
        for one in of[list].as_array().into_iter().flatten() {
            if list == "enum" { found.push(one.clone()) } else { choices(root, one, found) }
        }
    }
}

/// What numbers are drawn between; none where the schema does not tell.
fn ends(of: &Value, whole: bool) -> Option<[f64; 2]> {
    if let Some([low, high]) = of[TUNE].as_array().map(Vec::as_slice) {
        return Some([low.as_f64()?, high.as_f64()?]);
    }
    let bound = |key: &str| of[key].as_f64();
    let default = bound("default").filter(|value| *value > 0.0);
    // An end that is excluded: what is just inside of it.
    let below = |end: f64| if whole { end - 1.0 } else { end - 0.01 * end.abs() };
    let high = bound("maximum")
        .or_else(|| bound("exclusiveMaximum").map(below))
        .or_else(|| default.map(|value| value * REACH))?;
    // Zero often stands for something else than a small number.
    let low = bound("minimum").filter(|low| *low != 0.0 || whole);
    let low = low.or_else(|| bound("exclusiveMinimum").filter(|low| *low != 0.0));
    let low = low.unwrap_or_else(|| default.unwrap_or(high / REACH) / REACH).min(high);
    Some(if whole { [low.ceil(), high.floor()] } else { [low, high] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::schema;
    use serde_json::json;

    fn schema_of(field: Value) -> Value {
        json!({ "properties": { "p": field }, "$defs": { "Kind": { "oneOf": [{ "const": "a" }, { "const": "b" }] } } })
    }

    fn drawn(field: Value) -> Vec<Value> {
        let schema = schema_of(field);
        let space = Space::new("m", &schema, &Map::new());
        let mut dice = Dice::new(1);
        let params = (0..200).map(|_| Value::Object(space.draw(&|_| 1.0, &mut dice)));
        params
            .map(|params| {
                schema::check(&schema, &params).expect("within the schema");
                params["p"].clone()
            })
            .collect()
    }

    fn extent(values: &[Value]) -> [f64; 2] {
        let numbers = || values.iter().filter_map(Value::as_f64);
        [numbers().fold(f64::INFINITY, f64::min), numbers().fold(0.0, f64::max)]
    }

    #[test]
    fn numbers_fill_their_range_and_stay_within_it() {
        let [low, high] =
            extent(&drawn(json!({ "type": "number", "minimum": 0.01, "maximum": 1.0 })));
        assert!((0.01..0.012).contains(&low) && (0.8..=1.0).contains(&high), "{low} {high}");
        // Whole ones reach both ends.
        let values = drawn(json!({ "type": ["integer", "null"], "minimum": 1, "maximum": 8 }));
        assert_eq!(extent(&values), [1.0, 8.0]);
        assert!(values.iter().all(Value::is_i64));
        // Where a bound is missing the default says how far.
        let field = json!({ "type": "number", "exclusiveMinimum": 0.0, "default": 2.0 });
        let [low, high] = extent(&drawn(field));
        assert!((0.25..0.3).contains(&low) && (14.0..=16.0).contains(&high), "{low} {high}");
        let field =
            json!({ "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0, "default": 0.0 });
        let [low, high] = extent(&drawn(field));
        assert!(low > 0.0 && high < 1.0, "{low} {high}");
        // And what narrows it is heard.
        let field =
            json!({ "type": "integer", "minimum": 1, "maximum": 100, "x-precondor-tune": [2, 3] });
        assert_eq!(extent(&drawn(field)), [2.0, 3.0]);
    }

    #[test]
    fn choices_are_drawn_and_what_names_something_is_not() {
        let mut values =
            drawn(json!({ "anyOf": [{ "$ref": "#/$defs/Kind" }, { "type": "null" }] }));
        values.sort_by_key(Value::to_string);
        values.dedup();
        assert_eq!(values, [json!("a"), json!("b")]);
        assert!(drawn(json!({ "type": "boolean" })).contains(&json!(true)));
        for nothing in [
            json!({ "x-precondor-method": true }),
            json!({ "type": "string", "x-precondor-file": true }),
            json!({ "type": "array", "items": { "type": "integer" }, "x-precondor-grid": true }),
            json!({ "type": "integer", "minimum": 1, "maximum": 9, "x-precondor-tune": false }),
            json!({ "type": "number" }),
        ] {
            assert_eq!(Space::new("m", &schema_of(nothing), &Map::new()).len(), 0);
        }
    }

    #[test]
    fn what_is_given_stays_and_what_equals_another_follows_it() {
        let schema = json!({ "properties": {
            "a": { "type": "integer", "minimum": 1, "maximum": 9 },
            "b": { "type": "integer", "minimum": 1, "maximum": 9, "x-precondor-tune": "a" },
            "c": { "type": "integer", "minimum": 1, "maximum": 9 },
        } });
        let given = json!({ "c": 5 }).as_object().cloned().expect("a table");
        let space = Space::new("m", &schema, &given);
        let mut dice = Dice::new(3);
        let mut params = space.draw(&|_| 1.0, &mut dice);
        for _ in 0..100 {
            assert_eq!(params["c"], 5);
            assert_eq!(params.get("a"), params.get("b"));
            params = space.near(&params, 0.2, &|_| 1.0, &mut dice);
        }
    }

    #[test]
    fn draws_follow_from_the_seed() {
        let schema = schema_of(json!({ "type": "number", "minimum": 0.01, "maximum": 1.0 }));
        let space = Space::new("m", &schema, &Map::new());
        let of = |seed| space.draw(&|_| 1.0, &mut Dice::new(seed));
        assert_eq!(of(4), of(4));
        assert_ne!(of(4), of(5));
    }
}
