//! Beginning and end, threads, options, viewers.
use crate::support::{file, petsc, processes, told};
use precondor_petsc::{Error, Mat, Petsc, Ranks, Vec as Vector, Viewer};

processes! { it_runs_once_and_ends_when_the_last_object_is_gone [Found; 1] {
    let petsc = petsc();
    assert!(petsc.version().starts_with("PETSc 3."), "{}", petsc.version());
    assert_eq!((petsc.rank(), petsc.size()), (0, 1));
    assert!(told(Petsc::init::<&str>(&[])).contains("runs in this process already"));

    let x = Vector::from_slice(&petsc, Ranks::One, &[3.0, 4.0]).expect("a vector");
    let handle = petsc.clone();
    let alive = told(petsc.finalize());
    assert_eq!(alive, "2 objects or handles of PETSc are alive; drop them before it is finalised");
    assert_eq!(x.norm().expect("PETSc still runs"), 5.0);
    drop(x);
    handle.finalize().expect("nothing is alive");
    assert!(told(Petsc::init::<&str>(&[])).contains("has been finalised in this process"));
} }

processes! { without_a_word_it_ends_with_the_last_handle [Found; 1] {
    let petsc = petsc();
    let x = Vector::new(&petsc, Ranks::All, 3).expect("a vector");
    drop(petsc);
    assert_eq!(x.len(), 3);
    drop(x);
    assert!(told(Petsc::init::<&str>(&[])).contains("has been finalised in this process"));
} }

processes! { another_thread_gets_none [Found; 1] {
    let _petsc = petsc();
    let other = std::thread::spawn(|| Petsc::init::<&str>(&[]).map(|_| ()));
    assert!(told(other.join().expect("no panic")).contains("runs in this process already"));
} }

processes! { a_panic_destroys_nothing_and_what_is_left_works [Found; 1] {
    let petsc = petsc();
    let kept = Vector::from_slice(&petsc, Ranks::One, &[1.0]).expect("a vector");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let x = kept.like().expect("a vector");
        let _ = x.read(|_| panic!("in the middle of a vector"));
    }));
    assert!(panicked.is_err());
    assert_eq!(kept.norm().expect("it works"), 1.0);
    drop(kept);
    petsc.finalize().expect("the end");
} }

processes! { arguments_reach_the_options [Found; 1] {
    let petsc = Petsc::init(&["-answer", "42", "-flag"]).expect("PETSc");
    let options = petsc.options();
    assert_eq!(options.get("answer").expect("read"), Some("42".into()));
    assert_eq!(options.get("-flag").expect("read"), Some(String::new()));
    assert!(options.has("flag").expect("read") && !options.has("other").expect("read"));
    assert_eq!(options.get("other").expect("read"), None);
    options.set("other", Some("words")).expect("set").insert("-more 1 -sub_one 2").expect("set");
    assert_eq!(options.get("more").expect("read"), Some("1".into()));
    let sub = options.prefix("sub_");
    assert_eq!(sub.get("one").expect("read"), Some("2".into()));
    sub.set("two", None).expect("set");
    assert!(options.has("sub_two").expect("read"));
    sub.set("three", Some("3")).expect("set");
    assert_eq!(sub.unused().expect("read"), ["three"]);
    sub.clear("three").expect("cleared");
    assert!(!sub.has("three").expect("read"));
    let long = "x".repeat(5000);
    options.set("long", Some(&long)).expect("set");
    assert_eq!(options.get("long").expect("read"), Some(long));
    for name in ["", "-", "two words", "1st"] {
        assert_eq!(told(options.get(name)), format!("'{name}' is no name of an option"));
    }
    assert!(told(options.get("a\0b")).contains("contains a zero byte"));
    assert!(told(options.set("a", Some("\0")).map(|_| ())).contains("contains a zero byte"));
} }

processes! { viewers_write_to_strings_and_files [Found; 2] {
    let petsc = petsc();
    let mine = [10.0 + petsc.rank() as f64];
    let x = Vector::from_slice(&petsc, Ranks::All, &mine).expect("a vector");
    let string = Viewer::string(&petsc, Ranks::All).expect("a viewer");
    x.view(&string).expect("shown");
    let text = string.text().expect("text");
    match petsc.rank() {
        0 => assert!(text.contains("10.") && text.contains("11."), "{text}"),
        _ => assert_eq!(text, ""),
    }
    let path = file(&petsc, "view.txt");
    let to = Viewer::file(&petsc, Ranks::All, &path).expect("a viewer");
    x.view(&to).expect("shown");
    assert!(told(to.text()).contains("does not keep its text"));
    drop(to);
    if petsc.rank() == 0 {
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(text.contains("11."), "{text}");
        std::fs::remove_file(&path).expect("removed");
    }
    let alone = Viewer::string(&petsc, Ranks::One).expect("a viewer");
    assert!(told(x.view(&alone)).contains("do not go together"));
    x.view(&Viewer::stdout(&petsc, Ranks::All).expect("a viewer")).expect("shown");
} }

processes! { errors_of_petsc_have_its_words_and_its_traceback [Found; 1] {
    let petsc = petsc();
    let missing = std::env::temp_dir().join("precondor-no-such-file.petsc");
    let e = Mat::load(&petsc, Ranks::All, &missing).expect_err("no file");
    assert!(matches!(e, Error::Other(precondor_core::Error::File { .. })), "{e:?}");
    let path = file(&petsc, "garbage.petsc");
    std::fs::write(&path, [0u8; 64]).expect("written");
    let e = Mat::load(&petsc, Ranks::All, &path).expect_err("no matrix");
    std::fs::remove_file(&path).expect("removed");
    let Error::Petsc { code, function, .. } = &e else { panic!("{e:?}") };
    assert_eq!((*code, *function), (79, "MatLoad"));
    assert!(e.to_string().starts_with("MatLoad: Unexpected data in file"), "{e}");
    assert!(e.traceback().contains("MatLoad_") && e.traceback().contains("() at "), "{e:?}");
    let ours = precondor_core::Error::from(e);
    assert!(ours.to_string().starts_with("PETSc: MatLoad: "), "{ours}");
} }
