//! What the build reported itself: it names origins, and is compared with what was found now.

use rpm_provenance::files::Class;
use rpm_provenance::{Provenance, Verdict};

/// The gate's verdicts as the report has them. They tell where an RPM came from; whether it is Koji's is asked anew.
pub(super) fn verdicts(archived: Option<&Provenance>) -> Vec<Verdict> {
    let requests = archived.into_iter().flat_map(|report| &report.requests);
    requests
        .filter_map(|request| {
            let mut value = serde_json::to_value(request).ok()?;
            let map = value.as_object_mut()?;
            let nvra: Option<build_model::Nvra> = request.nvra.as_ref().and_then(|text| text.parse().ok());
            map.insert("nvra".into(), serde_json::to_value(nvra).ok()?);
            for absent in ["size", "sigmd5", "rpm_id"] {
                map.insert(absent.into(), serde_json::Value::Null);
            }
            serde_json::from_value(value).ok()
        })
        .collect()
}

/// How the build's own report differs from this verification in what both looked at. A rule that came since is no
/// disagreement.
pub(super) fn disagreements(archived: &Provenance, now: &Provenance) -> Vec<String> {
    let mut found = Vec::new();
    let mut differs = |what: &str, then: String, now: String| {
        if then != now {
            found.push(format!("the build's own report disagrees about {what}: it has {then}, this is {now}"));
        }
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    differs("the manifest", text(&archived.manifest_digest), text(&now.manifest_digest));
    let packages = |report: &Provenance| {
        let lines = report.packages.iter().map(|p| format!("{} {} {}", p.nvra, p.sha256header, p.verdict));
        lines.collect::<std::collections::BTreeSet<_>>()
    };
    let (then, today) = (packages(archived), packages(now));
    let only = |a: &std::collections::BTreeSet<String>, b: &std::collections::BTreeSet<String>| {
        let list: Vec<&str> = a.difference(b).take(3).map(String::as_str).collect();
        if list.is_empty() { "no others".to_owned() } else { list.join(", ") }
    };
    if then != today {
        differs("its RPMs", only(&then, &today), only(&today, &then));
    }
    if let (Some(a), Some(b), true) = (&archived.files, &now.files, now.not_told.is_empty()) {
        // What a RUN touched without changing it lies in a build's layer until it is packed, in classes that tell nothing.
        let tells = |class: &Class| !matches!(class, Class::Rpm | Class::Directory | Class::Link | Class::Empty);
        let counts = |section: &rpm_provenance::report::FilesSection| {
            let counts = section.counts.iter().filter(|(class, _)| tells(class));
            counts.map(|(class, count)| format!("{} {}", count.paths, class.as_str())).collect::<Vec<_>>().join(", ")
        };
        differs("the files", counts(a), counts(b));
    }
    found
}
