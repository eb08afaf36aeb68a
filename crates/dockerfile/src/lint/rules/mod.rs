//! All rules, a file a group. Examples are whole files; most begin with the same base and labels, which the macros give.

/// A Dockerfile: its lines.
macro_rules! lines {
    ($($line:literal),* $(,)?) => { concat!($($line, "\n"),*) };
}

/// A Dockerfile that starts from a base image and has the labels of a Koji build, then the lines given.
macro_rules! image {
    ($($line:literal),* $(,)?) => {
        concat!(
            "FROM registry.example.com/f40/base:40\n",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"\n",
            $($line, "\n"),*
        )
    };
}

mod base_images;
mod commands;
mod directive;
mod koji_labels;
mod names;
mod network;
mod old_forms;
mod packages;
mod paths;
mod platforms;
mod ports;
mod stages;
mod variables;

use super::rule::Rule;

/// Every rule: those of Koji builds first, then BuildKit's.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let groups: [&'static [Rule]; 13] = [
        koji_labels::RULES,
        base_images::RULES,
        network::RULES,
        packages::RULES,
        stages::RULES,
        names::RULES,
        old_forms::RULES,
        commands::RULES,
        variables::RULES,
        platforms::RULES,
        paths::RULES,
        ports::RULES,
        directive::RULES,
    ];
    groups.into_iter().flatten()
}
