//! The lists of traps (tests/GOTCHAS.md), of what the earlier service's users rely on (tests/COMPAT.md) and of what gate and
//! proof promise (tests/PROVENANCE.md): every row names tests, and every test it names is there.

use std::path::Path;

#[test]
fn every_trap_has_tests_and_they_exist() {
    check("tests/GOTCHAS.md", 31, 3);
}

#[test]
fn every_row_of_the_compatibility_list_has_tests_and_they_exist() {
    check("tests/COMPAT.md", 37, 4);
}

#[test]
fn every_promise_of_gate_and_proof_has_tests_and_they_exist() {
    check("tests/PROVENANCE.md", 58, 3);
}

/// The rows of a list are numbered from 1 to `count` and have `columns`; the last one holds `FILE` `TEST`, with semicolons.
fn check(list: &str, count: usize, columns: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = std::fs::read_to_string(root.join(list)).expect(list);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().expect("a number")).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{list}");
    let mut missing = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), columns, "{list}: {}", row[0]);
        for test in row[columns - 1].split("; ") {
            let names: Vec<&str> = test.split('`').collect();
            let [_, file, _, name, _] = names[..] else { panic!("{}: not `FILE` `TEST`: {test}", row[0]) };
            let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            if !source.contains(&format!("def {name}(")) && !source.contains(&format!("fn {name}(")) {
                missing.push(format!("{}: {file} {name}", row[0]));
            }
        }
    }
    assert!(missing.is_empty(), "{list}: {missing:#?}");
}
