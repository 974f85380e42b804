//! `include/precondor.h` and this crate say the same: a C program prints what the compiler makes of
//! the header, and every size, offset and constant is compared.
use precondor_abi::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

/// Name in C, size, and fields with their offsets.
type Twin = (&'static str, usize, Vec<(&'static str, usize)>);

fn of<T: Table>() -> Twin {
    (T::LAYOUT.name, T::LAYOUT.size, T::LAYOUT.fields.to_vec())
}

macro_rules! plain {
    ($name:ident, $c:literal, $($field:ident),*) => {
        ($c, size_of::<$name>(), vec![$((stringify!($field), offset_of!($name, $field))),*])
    };
}

/// In C one table: what a host of 1.0 has, and what came later.
fn host() -> Twin {
    let (name, _, mut fields) = of::<Host>();
    fields.push(("progress", offset_of!(HostTable, progress)));
    fields.push(("cancelled", offset_of!(HostTable, cancelled)));
    (name, size_of::<HostTable>(), fields)
}

/// As [`host`].
fn watch() -> Twin {
    let (name, _, mut fields) = of::<Watch>();
    fields.push(("validated", offset_of!(WatchTable, validated)));
    (name, size_of::<WatchTable>(), fields)
}

/// As [`host`].
fn plugin() -> Twin {
    let (name, _, mut fields) =
        plain!(Plugin, "precondor_plugin", magic, abi_major, abi_minor, size, methods, n_methods);
    fields.push(("problems", offset_of!(PluginTable, problems)));
    fields.push(("n_problems", offset_of!(PluginTable, n_problems)));
    (name, size_of::<PluginTable>(), fields)
}

fn shapes() -> Vec<Twin> {
    vec![
        plain!(Text, "precondor_text", ptr, len),
        plain!(Bytes, "precondor_bytes", ptr, len),
        plain!(Block, "precondor_block", row_ptr, cols, values, nnz),
        plain!(ExplicitBlock, "precondor_explicit_block", row_ptr, cols, values, nnz),
        plugin(),
        of::<Sink>(),
        of::<Failure>(),
        of::<Parts>(),
        of::<HaloPlan>(),
        of::<Comm>(),
        of::<Exchange>(),
        of::<Space>(),
        of::<Matrix>(),
        of::<Aux>(),
        of::<System>(),
        of::<Rows>(),
        host(),
        of::<Method>(),
        of::<Explicit>(),
        of::<ExplicitPart>(),
        of::<RefreshPart>(),
        of::<ApplyManyPart>(),
        of::<ApplyAndMultiplyPart>(),
        of::<ApplyTransposePart>(),
        of::<DelegatePart>(),
        of::<Samples>(),
        watch(),
        of::<TrainPart>(),
        of::<PersistPart>(),
        of::<InvariancePart>(),
        of::<Assembly>(),
        of::<Shape>(),
        of::<Problem>(),
    ]
}

fn numbers() -> Vec<(&'static str, u64)> {
    let status = |s: Status| s.0 as u64;
    vec![
        ("MAGIC", MAGIC),
        ("ABI_MAJOR", ABI_MAJOR.into()),
        ("ABI_MINOR", ABI_MINOR.into()),
        ("OK", status(Status::OK)),
        ("PARAMETER", status(Status::PARAMETER)),
        ("UNSUPPORTED", status(Status::UNSUPPORTED)),
        ("BREAKDOWN", status(Status::BREAKDOWN)),
        ("DATA", status(Status::DATA)),
        ("ELSEWHERE", status(Status::ELSEWHERE)),
        ("COMM", status(Status::COMM)),
        ("PANICKED", status(Status::PANICKED)),
        ("PATTERN_CHANGED", status(Status::PATTERN_CHANGED)),
        ("FILE", status(Status::FILE)),
        ("PLUGIN", status(Status::PLUGIN)),
        ("INTERRUPTED", status(Status::INTERRUPTED)),
        ("INTERNAL", status(Status::INTERNAL)),
        ("MEMORY", status(Status::MEMORY)),
        ("LOG_WARN", LOG_WARN.into()),
        ("LOG_INFO", LOG_INFO.into()),
        ("LOG_DEBUG", LOG_DEBUG.into()),
        ("SPLIT_SELF", SPLIT_SELF.into()),
        ("SPLIT_WORLD", SPLIT_WORLD.into()),
        ("SYMMETRIC", SYMMETRIC.into()),
        ("POSITIVE_DEFINITE", POSITIVE_DEFINITE.into()),
        ("CONSTANT", CONSTANT.into()),
        ("RANK_INDEPENDENT", RANK_INDEPENDENT.into()),
        ("KEEPS_SCALING", KEEPS_SCALING.into()),
        ("KEEPS_ROWS", KEEPS_ROWS.into()),
        ("KEEPS_COLUMNS", KEEPS_COLUMNS.into()),
        ("KEEPS_BOTH", KEEPS_BOTH.into()),
        ("KEEPS_PERMUTATION", KEEPS_PERMUTATION.into()),
        ("KIND_INVERSE", KIND_INVERSE.into()),
        ("KIND_FACTOR", KIND_FACTOR.into()),
        ("VALUE_F64", VALUE_F64.into()),
        ("VALUE_F32", VALUE_F32.into()),
        ("VALUE_BF16", VALUE_BF16.into()),
    ]
}

fn words() -> Vec<(&'static str, &'static str)> {
    vec![
        ("EXPLICIT", EXPLICIT),
        ("REFRESH", REFRESH),
        ("APPLY_MANY", APPLY_MANY),
        ("APPLY_AND_MULTIPLY", APPLY_AND_MULTIPLY),
        ("APPLY_TRANSPOSE", APPLY_TRANSPOSE),
        ("DELEGATE", DELEGATE),
        ("TRAIN", TRAIN),
        ("PERSIST", PERSIST),
        ("INVARIANCE", INVARIANCE),
    ]
}

#[test]
fn the_c_header_is_the_twin_of_this_crate() {
    let mut program = String::from("#include \"precondor.h\"\n#include <stdio.h>\n");
    program.push_str("int main(void) {\n");
    let mut expected = BTreeMap::new();
    for (name, size, fields) in shapes() {
        writeln!(program, "printf(\"{name} %zu\\n\", sizeof({name}));").expect("a string");
        expected.insert(name.to_owned(), size.to_string());
        for (field, offset) in fields {
            let line = format!("printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));");
            writeln!(program, "{line}").expect("a string");
            expected.insert(format!("{name}.{field}"), offset.to_string());
        }
    }
    for (name, value) in numbers() {
        let line = format!("printf(\"{name} %llu\\n\", (unsigned long long)PRECONDOR_{name});");
        writeln!(program, "{line}").expect("a string");
        expected.insert(name.to_owned(), value.to_string());
    }
    for (name, value) in words() {
        writeln!(program, "puts(\"{name} \" PRECONDOR_{name});").expect("a string");
        expected.insert(name.to_owned(), value.to_owned());
    }
    program.push_str("return 0;\n}\n");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (folder.join("header.c"), folder.join("header"));
    std::fs::write(&source, program).expect("written");
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", include])
        .arg(&source)
        .arg("-o")
        .arg(&binary)
        .output()
        .expect("a C compiler 'cc'");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&binary).output().expect("runs").stdout;
    let printed = String::from_utf8(printed).expect("text");
    let got: BTreeMap<String, String> = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(got, expected);
}
