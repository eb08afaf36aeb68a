//! The list of traps, tests/GOTCHAS.md: every line names tests, and every test it names is there.

use std::path::Path;

#[test]
fn every_trap_has_tests_and_they_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = std::fs::read_to_string(root.join("tests/GOTCHAS.md")).expect("GOTCHAS.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().expect("a number")).collect();
    assert_eq!(numbers, (1..=31).collect::<Vec<_>>());
    let mut missing = Vec::new();
    for row in &rows {
        for test in row[2].split("; ") {
            let names: Vec<&str> = test.split('`').collect();
            let [_, file, _, name, _] = names[..] else { panic!("{}: not `FILE` `TEST`: {test}", row[0]) };
            let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            if !source.contains(&format!("def {name}(")) && !source.contains(&format!("fn {name}(")) {
                missing.push(format!("{}: {file} {name}", row[0]));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
