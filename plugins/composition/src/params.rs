//! Parameters of `fieldsplit`, and which go with which.
use crate::fields::Sorted;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// Parameters of [`Fieldsplit`](crate::Fieldsplit).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-tune" = false))]
pub struct Params {
    /// How the fields are put together: `schur` where it is left out and the fields are told by the
    /// diagonal, else `multiplicative`.
    pub kind: Option<Kind>,
    /// A method for each field, or one for all: names, or sections with names and parameters. The second
    /// one of `schur` is for the Schur complement.
    #[schemars(length(min = 1), extend("items" = {"x-precondor-method": true}))]
    pub methods: Vec<Value>,
    /// Unknowns of a node, which follow each other: row i is component i mod stride.
    #[schemars(range(min = 1))]
    pub stride: Option<u32>,
    /// The components of every field, such as `[[0, 1], [2]]`; each one a field where it is left out.
    pub fields: Option<Vec<Vec<u32>>>,
    /// The first global row of every field, and the first one behind it: [[0, 200], [200, 300]].
    pub ranges: Option<Vec<[u64; 2]>>,
    /// A file with a number for each row, a line each: its field, from 0.
    #[schemars(extend("x-precondor-file" = true))]
    pub file: Option<String>,
    /// What becomes of the coupling of the two fields of `schur`; `full` where it is left out.
    pub factorisation: Option<Factorisation>,
    /// What approximates the Schur complement; `diag` where it is left out.
    pub approximation: Option<Approximation>,
    /// A Matrix Market file with what approximates the Schur complement, or its negative.
    #[schemars(extend("x-precondor-file" = true))]
    pub matrix: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            kind: None,
            methods: vec!["ilu".into()],
            stride: None,
            fields: None,
            ranges: None,
            file: None,
            factorisation: None,
            approximation: None,
            matrix: None,
        }
    }
}

/// How fields are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Kind {
    /// Block Jacobi: each by itself.
    Additive,
    /// One after the other, each with what those before it found: block triangular.
    Multiplicative,
    /// The same, and back again to the first: symmetric where A and the methods are.
    SymmetricMultiplicative,
    /// Two fields, the first one eliminated.
    Schur,
}

/// What becomes of the coupling of two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Factorisation {
    /// Block factors of A, both.
    Full,
    /// Block upper triangular.
    Upper,
    /// Block lower triangular.
    Lower,
    /// Block diagonal and positive, for MINRES.
    Diag,
}

/// What approximates a Schur complement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Approximation {
    /// The diagonal of A00 in place of it.
    Diag,
    /// The sums of the absolute values of the rows of A00 in place of it.
    Lumped,
    /// A11, its own block.
    A11,
}

/// The kind that the parameters ask for, and whether they go with it.
pub(crate) fn kind(params: &Params, sorted: &Sorted) -> Result<Kind> {
    let kind = params.kind.unwrap_or(match sorted.by_diagonal {
        true => Kind::Schur,
        false => Kind::Multiplicative,
    });
    let (count, methods) = (sorted.count, params.methods.len());
    if methods != 1 && methods != count {
        return Err(Error::Parameter(format!(
            "parameter 'methods': {methods} of them for {count} fields; give one for each, or one for all"
        )));
    }
    if kind == Kind::Schur {
        if count != 2 {
            let why = format!("parameter 'kind': \"schur\" takes two fields, not {count}");
            return Err(Error::Parameter(why));
        }
        if params.matrix.is_some() && params.approximation.is_some() {
            let why = "parameter 'matrix': it takes the place of 'approximation'; give one of them";
            return Err(Error::Parameter(why.into()));
        }
        return Ok(kind);
    }
    let of_schur = [
        ("factorisation", params.factorisation.is_some()),
        ("approximation", params.approximation.is_some()),
        ("matrix", params.matrix.is_some()),
    ];
    match of_schur.iter().find(|(_, given)| *given) {
        Some((name, _)) => {
            Err(Error::Parameter(format!("parameter '{name}': only the kind \"schur\" has one")))
        }
        None => Ok(kind),
    }
}
