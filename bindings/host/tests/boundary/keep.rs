//! Saved and loaded across the boundary; what is refused.

use crate::methods;
use crate::support::{applied, on_space, solo, tridiagonal, without_hanging};
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::persist::{Header, Opened, gather, seal};
use precondor_core::registry::{DynGenerator, Native};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

fn open(comm: &Comm, bytes: &[u8]) -> Result<Opened> {
    Opened::of(comm, Path::new("m.precondor"), || Ok(bytes.to_vec()))
}

/// What `keeper` saves for five rows.
fn saved() -> Vec<u8> {
    let (method, system) = (methods::named("keeper"), solo(5));
    let m = method.generate(&json!({}), &system).expect("generates");
    gather(&*method, &json!({}), &*m, &system).expect("saves").expect("rank 0")
}

/// Why the bytes are refused for `keeper` and a system.
fn refusal(bytes: &[u8], system: &System) -> String {
    let method = methods::named("keeper");
    let opened = open(&Comm::solo(), bytes);
    let error = opened.and_then(|o| o.load(&*method, &json!({}), system)).err();
    let text = error.expect("refused").to_string();
    assert!(text.starts_with("m.precondor: "), "it names the file: {text}");
    text
}

/// The same file with another header, as if it had been saved so.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let arrays = 8 + length_of(bytes);
    let mut header: Value = serde_json::from_str(&text(&bytes[8..arrays])).expect("JSON");
    let entry = &mut header["__metadata__"]["precondor-preconditioner"];
    let mut ours: Value = serde_json::from_str(entry.as_str().expect("text")).expect("JSON");
    change(&mut ours);
    *entry = ours.to_string().into();
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    seal([&length, header.as_bytes(), &bytes[arrays..]].concat())
}

fn length_of(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize
}

#[test]
fn what_was_saved_on_some_ranks_is_loaded_on_others() {
    without_hanging(|| {
        let natively: Arc<dyn DynGenerator> = Native::<methods::Keeper>::method();
        for method in [methods::named("keeper"), natively] {
            let files: Vec<Vec<u8>> = (1..=3)
                .map(|ranks| {
                    let mut ends = threads::run(ranks, |backend| {
                        let system = System::new(tridiagonal(Comm::new(backend), 7, None));
                        let m = method.generate(&json!({}), &system).expect("generates");
                        gather(&*method, &json!({}), &*m, &system).expect("saves")
                    });
                    assert!(ends[1..].iter().all(Option::is_none), "rank 0 alone has a file");
                    ends.swap_remove(0).expect("a file")
                })
                .collect();
            for (file, ranks) in files.iter().flat_map(|f| (1..=3).map(move |r| (f, r))) {
                threads::run(ranks, |backend| {
                    let comm = Comm::new(backend);
                    let system = System::new(tridiagonal(comm.clone(), 7, None));
                    let fresh = method.generate(&json!({}), &system).expect("generates");
                    let opened = open(&comm, file).expect("sound");
                    let loaded = opened.load(&*method, &json!({}), &system);
                    let made = loaded.expect("the same matrix");
                    let m = made.m();
                    let n = system.a().n_own();
                    assert_eq!(applied(m, n), applied(&*fresh, n));
                    assert_eq!(m.properties(), fresh.properties());
                    let then = opened.header().starts.len() - 1;
                    let remarks = made.remarks();
                    assert_eq!(remarks.is_empty(), then == ranks, "{remarks:?}");
                });
            }
            // The arrays do not depend on who wrote them; the checksum is of the header, too.
            let arrays = |file: &[u8]| file[8 + length_of(file)..file.len() - 8].to_vec();
            assert!(files.iter().all(|file| arrays(file) == arrays(&files[0])));
        }
    });
}

#[test]
fn the_header_says_what_was_saved() {
    let opened = open(&Comm::solo(), &saved()).expect("sound");
    let Header { method, version, parameters, n, starts, rows, .. } = opened.header();
    assert_eq!((method.as_str(), version.as_str()), ("keeper", "0"));
    assert_eq!((parameters, *n), (&json!({}), 5));
    assert_eq!(starts, &[0, 5]);
    assert!(rows.as_ref().expect("explicit").constant);
}

#[test]
fn a_damaged_or_foreign_file_is_refused_with_the_reason() {
    let (good, system) = (saved(), solo(5));
    assert!(open(&Comm::solo(), &good).is_ok());
    for cut in [0, 4, 20, good.len() / 2, good.len() - 1] {
        let text = refusal(&good[..cut], &system);
        assert!(text.contains("damaged, or no safetensors file"), "{cut}: {text}");
    }
    let mut huge = good.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&huge, &system).contains("damaged"));
    // Another program's file.
    let foreign = [&2u64.to_le_bytes()[..], b"{}"].concat();
    assert!(refusal(&foreign, &system).contains("no saved preconditioner"));
    let says = |change: &dyn Fn(&mut Value)| refusal(&with_header(&good, change), &system);
    assert!(
        says(&|h| h["format"] = 1.into()).contains("says format 1; this program reads format 2")
    );
    assert!(says(&|h| h["n"] = 6.into()).contains("says rows [0, 5] of 6"));
    assert!(says(&|h| h["starts"] = json!([])).contains("says rows []"));
    assert!(says(&|h| h["method"] = json!(3)).contains("is not understood"));
    assert!(says(&|h| h["rows"]["kind"] = "other".into()).contains("is not understood"));
    assert!(says(&|h| h["rows"]["kind"] = "factor".into()).contains("it holds a factor, not an"));
    assert!(says(&|h| h["rows"] = Value::Null).contains("array 'rank.00000000' is missing"));
    let missing = Opened::read(&Comm::solo(), Path::new("/nonexistent/m")).err();
    assert!(matches!(missing, Some(Error::File { .. })), "{missing:?}");
}

#[test]
fn every_bit_of_a_file_counts() {
    let (good, system) = (saved(), solo(5));
    let mut by_checksum = 0;
    for place in 0..8 * good.len() {
        let mut bad = good.clone();
        bad[place / 8] ^= 1 << (place % 8);
        by_checksum += usize::from(refusal(&bad, &system).contains("does not match its checksum"));
    }
    // Whatever is not refused as no file of this kind.
    assert!(by_checksum > 3 * good.len(), "{by_checksum} of {}", 8 * good.len());
    // An edit that leaves it a sound file: M passes for symmetric.
    let flag = br#"\"symmetric\":"#;
    let at = good.windows(flag.len()).position(|part| part == flag).expect("a flag") + flag.len();
    let mut bad = good.clone();
    assert_eq!(&good[at..at + 5], b"false");
    bad[at..at + 5].copy_from_slice(b"true ");
    assert!(refusal(&bad, &system).contains("does not match its checksum"));
}

#[test]
fn a_file_of_another_method_or_matrix_is_refused() {
    let (good, keeper) = (saved(), methods::named("keeper"));
    let says = |change: &dyn Fn(&mut Value)| refusal(&with_header(&good, change), &solo(5));
    let other = says(&|h| h["method"] = "jacobi".into());
    assert!(other.contains("of the method 'jacobi', not of 'keeper'"), "{other}");
    let older = says(&|h| h["version"] = "0.9.1".into());
    assert!(older.contains("saved by keeper 0.9.1, this is version 0: save it anew"), "{older}");
    let params = says(&|h| h["parameters"] = json!({"power": 2}));
    assert!(params.contains("saved with keeper power = 2, none is asked for"), "{params}");
    let larger = refusal(&good, &solo(6));
    assert!(larger.contains("a matrix of 5 rows, this one has 6"), "{larger}");
    let diagonal = Csr::from_triplets(5, 5, (0..5).map(|i| (i, i, 1.0)).collect::<Vec<_>>());
    let diagonal = DistCsr::solo(diagonal.expect("fits")).expect("square");
    let pattern = refusal(&good, &System::new(diagonal));
    assert!(pattern.contains("another sparsity pattern"), "{pattern}");
    // Other values are told, not refused.
    let zeros = System::new(on_space(&Space::solo(5), Some(2)));
    let opened = open(&Comm::solo(), &good).expect("sound");
    let made = opened.load(&*keeper, &json!({}), &zeros).expect("the same pattern");
    let remarks = made.remarks();
    assert!(remarks[0].contains("A has other values"), "{remarks:?}");
    assert_eq!(
        applied(made.m(), 5),
        applied(&*keeper.generate(&json!({}), &solo(5)).expect("M"), 5)
    );
}

#[test]
fn a_refusal_reaches_all_ranks() {
    without_hanging(|| {
        let good = saved();
        let mut bad = good.clone();
        *bad.last_mut().expect("bytes") ^= 1;
        for (bytes, rows) in [(&bad[..], 5), (&good[..], 6), (&good[..9], 5)] {
            let ends = threads::run(3, |backend| {
                let comm = Comm::new(backend);
                let method = methods::named("keeper");
                let system = System::new(tridiagonal(comm.clone(), rows, None));
                open(&comm, bytes).and_then(|o| o.load(&*method, &json!({}), &system)).err()
            });
            for end in ends {
                let text = end.expect("an error on all ranks").to_string();
                assert!(text.contains("m.precondor: "), "{text}");
            }
        }
    });
}

#[test]
fn a_method_without_persist_says_so() {
    let natively: Arc<dyn DynGenerator> = Native::<methods::Panicky>::method();
    for method in [methods::named("panicky"), natively] {
        let m = method.generate(&json!({}), &solo(3)).expect("generates");
        let expected = Error::Unsupported("panicky cannot be saved or loaded".into());
        assert_eq!(m.save(), Err(expected.clone()));
        assert_eq!(method.load(&json!({}), &[], &solo(3)).err(), Some(expected));
    }
}

#[test]
fn a_plugin_in_c_keeps_bytes_of_its_own_for_the_same_rows() {
    without_hanging(|| {
        let folder = Folder::unnamed();
        let library =
            compile(folder.path(), "jacobi_c", "tests/c/jacobi.c", "bindings/abi/include", &[]);
        let method = crate::support::load(&library).expect("a plugin").remove(0);
        assert!(method.capabilities().persist);
        let params = json!({"damping": 0.75});
        let mut files = threads::run(2, |backend| {
            let system = System::new(tridiagonal(Comm::new(backend), 7, None));
            let m = method.generate(&params, &system).expect("generates");
            gather(&*method, &params, &*m, &system).expect("saves")
        });
        let file = files.swap_remove(0).expect("rank 0");
        for ranks in 1..=3 {
            let ends: Vec<Result<()>> = threads::run(ranks, |backend| {
                let comm = Comm::new(backend);
                let system = System::new(tridiagonal(comm.clone(), 7, None));
                let opened = open(&comm, &file).expect("sound");
                let m = opened.load(&*method, &params, &system)?.into_m();
                let fresh = method.generate(&params, &system).expect("generates");
                let n = system.a().n_own();
                assert_eq!(applied(&*m, n), applied(&*fresh, n));
                assert_eq!(m.properties(), fresh.properties());
                Ok(())
            });
            for end in ends {
                match end {
                    Ok(()) => assert_eq!(ranks, 2),
                    Err(e) => {
                        let text = e.to_string();
                        let expected = "jacobi-c keeps each rank's part as it is";
                        assert!(ranks != 2 && text.contains(expected), "{text}");
                    }
                }
            }
        }
        // Its own look at the bytes.
        let error = method.load(&params, &[0; 9], &solo(3)).err();
        let expected = Error::Data("not the scaling of so many rows".into());
        assert_eq!(error, Some(expected));
    });
}
