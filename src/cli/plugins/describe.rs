//! `precondor plugins describe`: a method's parameters, out of its own schema.
use crate::Status;
use crate::files::{print, print_json};
use crate::models::{self, Model};
use crate::session::Session;
use precondor_core::Result;
use precondor_core::words::{self, Parameter};
use precondor_host::MethodInfo;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Describe a method: what it is and which parameters it takes
#[derive(clap::Args)]
pub struct Args {
    /// The method's name
    name: String,
    /// Print the description, with the JSON schema, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let session = Session::open(plugin_path, None)?;
    let method = session.generator(&args.name)?;
    let info = MethodInfo::of(method.as_ref());
    if args.json {
        print_json(&info)?;
        return Ok(Status::Done);
    }
    let mut out = format!("{}: {}\n", info.name, info.summary);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "version {}, {}", info.version, method.origin());
    if !info.extensions.is_empty() {
        let _ = writeln!(out, "offers {}", info.extensions.join(", "));
    }
    let _ = match &info.keeps {
        None => writeln!(out, "does not say what M keeps when A changes"),
        Some(keeps) if keeps.is_empty() => writeln!(out, "M keeps nothing when A changes"),
        Some(keeps) => {
            writeln!(
                out,
                "with its defaults M keeps, as far as inner methods do: {}",
                keeps.join(", ")
            )
        }
    };
    out += "\nparameters of [preconditioner]:\n";
    parameters(&mut out, &info.schema);
    if let Some(schema) = method.train_schema() {
        out += "\nparameters of [train]:\n";
        parameters(&mut out, &schema);
    }
    trained(&mut out, &models::shipped(method.as_ref()));
    print(&out)?;
    Ok(Status::Done)
}

/// The models that come with the method: what they were trained on and what was measured.
fn trained(out: &mut String, models: &[Model]) {
    if models.is_empty() {
        return;
    }
    out.push_str("\nmodels that come with it:\n");
    for model in models {
        let _ = writeln!(out, "  {} ({})", model.label, model.file);
        let seeds: Vec<String> = model.seeds().iter().map(u64::to_string).collect();
        let seeds = match seeds.as_slice() {
            [] => "seed unknown".to_owned(),
            [one] => format!("seed {one}"),
            several => format!("seeds {}", several.join(", ")),
        };
        let _ = writeln!(out, "      trained on {}, {seeds}", model.family());
        let metrics = model.card["metrics"].as_object().into_iter().flatten();
        for (key, value) in metrics {
            let _ = writeln!(out, "      {}: {}", words::spaced(key), words::value(value));
        }
    }
}

/// The parameters of a schema, a few lines each.
pub fn parameters(out: &mut String, schema: &Value) {
    let all = words::parameters(schema);
    if all.is_empty() {
        out.push_str("  none\n");
    }
    for Parameter { name, kind, default, about, choices } in all {
        let default = default.map(|default| {
            let stop = if default.is_array() { ';' } else { ',' };
            format!("{stop} {} unless given", words::value(&default))
        });
        let default = default.unwrap_or_default();
        let _ = writeln!(out, "  {name}: {kind}{default}");
        for line in about.lines() {
            let _ = writeln!(out, "      {line}");
        }
        for (choice, meaning) in choices {
            let _ = writeln!(out, "      - \"{choice}\": {meaning}");
        }
    }
}
