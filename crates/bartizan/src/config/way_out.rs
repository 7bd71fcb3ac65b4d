//! In what form does a role's agent see what comes from outside? As far as it is said, over what is inherited.

use super::check::Flaw;
use super::page::Page;
use super::raw::{At, RawWayOut};
use crate::report::did_you_mean;
use bartizan_scan::{Class, Form, Sanitiser, Treatment};
use std::collections::BTreeMap;

/// What a role says of its way out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct WayOut {
    form: Option<Form>,
    treatments: BTreeMap<Class, Treatment>,
}

impl WayOut {
    /// The form of the markers around what comes from outside.
    pub(crate) fn form(&self) -> Form {
        self.form.unwrap_or_default()
    }

    /// What becomes of what hides in it. What cannot be left as it is was refused when it was read.
    pub(crate) fn sanitiser(&self) -> Sanitiser {
        let said = self.treatments.iter();
        said.fold(Sanitiser::default(), |all, (class, treatment)| {
            all.with(*class, *treatment).unwrap_or(all)
        })
    }

    /// Parses what a file says, or notes on the page what is wrong with it.
    pub(super) fn read(page: &mut Page<'_>, raw: &RawWayOut) -> Self {
        let form = page.take_option(raw.frame.as_ref(), |text| form(text));
        let mut treatments = BTreeMap::new();
        for (name, said) in raw.sanitise.iter().flat_map(At::get_ref) {
            let class = page.take(name, |name| class(name));
            treatments.extend(class.and_then(|class| {
                let treatment = page.take(said, |said| treatment(class, said))?;
                Some((class, treatment))
            }));
        }
        Self { form, treatments }
    }

    /// Puts a later layer's word over this one.
    pub(super) fn overlay(&mut self, later: Self) {
        let earlier = std::mem::replace(self, later);
        self.inherit(&earlier);
    }

    /// Takes from `parent` what is not said here.
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.form = self.form.or(parent.form);
        for (class, treatment) in &parent.treatments {
            self.treatments.entry(*class).or_insert(*treatment);
        }
    }
}

fn form(text: &str) -> Result<Form, Flaw> {
    Form::parse(text).ok_or_else(|| {
        let names = Form::ALL.map(|form| format!("\"{}\"", form.name())).join(", ");
        (format!("`{text}` is no form of markers"), Some(format!("write one of {names}")))
    })
}

fn class(name: &str) -> Result<Class, Flaw> {
    Class::parse(name).ok_or_else(|| {
        let names = Class::ALL.map(Class::name);
        let hint = did_you_mean(name, names).map_or_else(
            || format!("known: {}", names.join(", ")),
            |likely| format!("did you mean `{likely}`?"),
        );
        (format!("nothing of the kind `{name}` is looked for"), Some(hint))
    })
}

fn treatment(class: Class, said: &str) -> Result<Treatment, Flaw> {
    let hint = if class.is_unseen() {
        "write \"show\" or \"remove\""
    } else {
        "write \"note\", \"show\" or \"remove\""
    };
    let treatment = Treatment::parse(said).ok_or_else(|| {
        (format!("`{said}` is not what can be done with it"), Some(hint.to_owned()))
    })?;
    match Sanitiser::default().with(class, treatment) {
        Ok(_) => Ok(treatment),
        Err(why) => Err((why.to_string(), Some(hint.to_owned()))),
    }
}
