//! The bodies of the fuzz targets on stable: over the inputs that are kept, and over generated ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::fs;
use std::path::Path;

use flagstone_fuzz::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Inputs of each target that are generated on each run, the same ones every time.
const GENERATED: u32 = 2_000;

#[test]
fn every_kept_input_holds_and_enough_of_them_get_past_the_parser() {
    for target in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        let (mut inputs, mut past) = (0u32, 0u32);
        for file in fs::read_dir(&folder).unwrap() {
            inputs += 1;
            past += u32::from((target.body)(&fs::read(file.unwrap().path()).unwrap()));
        }
        println!("{}: {past} of {inputs} kept inputs got past the parser", target.name);
        assert!(inputs > 0, "no corpus of {}", target.name);
        assert!(past * 10 >= inputs * 3, "{}: {past} of {inputs}", target.name);
    }
}

#[test]
fn generated_inputs_hold_and_enough_of_them_get_past_the_parser() {
    for target in TARGETS {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let config = Config { cases: GENERATED, failure_persistence: None, ..Config::default() };
        let past = std::cell::Cell::new(0u32);
        TestRunner::new_with_rng(config, rng)
            .run(&vec(any::<u8>(), 0..400), |bytes| {
                past.set(past.get() + u32::from((target.body)(&bytes)));
                Ok(())
            })
            .unwrap();
        println!("{}: {} of {GENERATED} generated inputs got past the parser", target.name, past.get());
        assert!(past.get() * 10 >= GENERATED * 3, "{}: {} of {GENERATED}", target.name, past.get());
    }
}

/// Every target has a binary for libFuzzer, and no other is there.
#[test]
fn every_target_can_be_fuzzed() {
    let binaries = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/src");
    let mut found: Vec<_> = fs::read_dir(binaries)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.retain(|name| name != "lib");
    found.sort();
    let mut named: Vec<_> = TARGETS.map(|target| target.name.to_owned()).to_vec();
    named.sort();
    assert_eq!(found, named);
}
