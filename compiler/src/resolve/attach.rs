//! A probe's attach points to groups of targets.
//!
//! Targets whose code would be the same share a group. They differ when the body uses `args`, `argN` or `retval` and the targets
//! keep these in different places or types, or when it uses `probe` and the kernel cannot tell targets of this kind apart.

use std::collections::HashSet;

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::{
    Found, Group, Part, Resolver, Source, Uses, function, hook, interval, packet, suggest, syntax,
    tracepoint,
};
use crate::artifact::{Attach, Target};
use crate::kernel::{Feature, KernelTypeId};
use crate::probes::{self, ContextKind, ProbeKind};

/// Kinds of bpftrace that nettrace does not have (yet).
const ELSEWHERE: [(&str, &[&str]); 12] = [
    ("uprobe", &["u"]),
    ("uretprobe", &["ur"]),
    ("usdt", &["U"]),
    ("profile", &["p"]),
    ("software", &["s"]),
    ("hardware", &["h"]),
    ("watchpoint", &["w"]),
    ("asyncwatchpoint", &["aw"]),
    ("iter", &["it"]),
    ("self", &[]),
    ("test", &[]),
    ("bench", &[]),
];

/// Resolves all attach points of a probe. Empty when all targets were skipped. When none is left after an error there is a group
/// without targets, so that the mistakes of the body are told in the same run.
pub(crate) fn probe(r: &mut Resolver<'_>, probe: &ast::Probe) -> Vec<Group> {
    let uses = Uses::of(probe);
    let mut all: Vec<(&'static ProbeKind, Found)> = Vec::new();
    let mut first_kind = None;
    for point in &probe.attach_points {
        if let Some((kind, found)) = attach_point(r, point, &uses) {
            first_kind = first_kind.or(Some(kind));
            all.extend(found.into_iter().map(|f| (kind, f)));
        }
    }
    if let (true, Some(kind), Err(_)) = (all.is_empty(), first_kind, r.sink.check()) {
        return vec![Group {
            kind,
            targets: Vec::new(),
            source: Source::Missing,
            user_arguments: false,
        }];
    }
    // Who asks for all packets gets all functions: the limit is against patterns that match more than was meant.
    let limited = |(kind, _): &&(&ProbeKind, Found)| kind.context != ContextKind::Packet;
    let count = all.iter().filter(limited).count();
    if count > r.max_probes as usize {
        let message = format!(
            "this probe has {count} targets; {} is the most",
            r.max_probes
        );
        let help = "use a narrower pattern, or raise the limit: `config = { max_probes = N }`";
        r.error(Diagnostic::error(codes::BAD_PROBE, points(probe), message).help(help));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut groups: Vec<(Group, Key)> = Vec::new();
    for (kind, found) in all {
        if seen.insert(found.target.attach.clone()) {
            add(r, &mut groups, kind, &uses, found);
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

/// The attach points of a probe, without its body.
pub(crate) fn points(probe: &ast::Probe) -> Span {
    probe
        .attach_points
        .iter()
        .map(|p| p.span)
        .reduce(Span::to)
        .unwrap_or(probe.span)
}

/// What the code for a target depends on.
#[derive(PartialEq)]
struct Key {
    kind: &'static str,
    /// Per used field: where it is and of which type.
    fields: Vec<Option<Place>>,
    result: Option<KernelTypeId>,
    count: Option<usize>,
    /// The whole prototype matters.
    whole: Option<Source>,
    /// This target stands alone.
    alone: Option<String>,
    user_arguments: bool,
}

#[derive(PartialEq)]
enum Place {
    Parameter(usize, KernelTypeId),
    Field(u32, u32, String, bool),
}

fn key(r: &Resolver<'_>, kind: &'static ProbeKind, uses: &Uses, found: &Found) -> Key {
    let cookies = match kind.context {
        // Nothing is attached for them.
        ContextKind::None => false,
        ContextKind::EventArgs => r.kernel.has(Feature::RawTracepointCookie),
        _ => true,
    };
    let result = match &found.source {
        Source::Prototype(p) if uses.retval => Some(p.result),
        _ => None,
    };
    // The result lies behind the arguments, and the last argument ends what `argN` may ask for.
    let bounded = matches!(kind.context, ContextKind::Args | ContextKind::ArgsAndResult);
    let count = match &found.source {
        Source::Prototype(p) if bounded && (uses.retval || uses.raw) => Some(p.params.len()),
        _ => None,
    };
    Key {
        kind: kind.name,
        fields: uses
            .fields
            .iter()
            .map(|name| place(&found.source, name))
            .collect(),
        result,
        count,
        // A struct by value moves the arguments behind it; of raw arguments it matters which are pointers.
        whole: (!uses.no_arguments() && (bounded && uses.raw || by_value(r, &found.source)))
            .then(|| found.source.clone()),
        alone: (uses.probe && !cookies).then(|| found.target.probe.clone()),
        user_arguments: found.user_arguments && !uses.no_arguments(),
    }
}

/// Whether a parameter is a struct or union itself, not a pointer to one.
fn by_value(r: &Resolver<'_>, source: &Source) -> bool {
    let Source::Prototype(prototype) = source else {
        return false;
    };
    prototype.params.iter().any(|(_, ty)| {
        let mut id = *ty;
        // Typedefs of typedefs end; the bound guards against BTF that does not.
        for _ in 0..16 {
            match &*r.kernel.ty(id) {
                crate::kernel::KernelType::Typedef { to, .. } => id = *to,
                crate::kernel::KernelType::Record(_) => return true,
                _ => return false,
            }
        }
        false
    })
}

fn place(source: &Source, name: &str) -> Option<Place> {
    match source {
        Source::Prototype(p) => p
            .params
            .iter()
            .position(|(n, _)| n == name)
            .and_then(|i| p.params.get(i).map(|(_, ty)| Place::Parameter(i, *ty))),
        Source::Tracepoint(t) => t
            .fields
            .iter()
            .find(|f| f.name == name)
            .map(|f| Place::Field(f.offset, f.size, f.c_type.clone(), f.signed)),
        Source::None | Source::Unknown | Source::Missing => None,
    }
}

fn add(
    r: &Resolver<'_>,
    groups: &mut Vec<(Group, Key)>,
    kind: &'static ProbeKind,
    uses: &Uses,
    found: Found,
) {
    let key = key(r, kind, uses, &found);
    match groups.iter_mut().find(|(_, k)| *k == key) {
        Some((group, _)) => group.targets.push(found.target),
        None => groups.push((
            Group {
                kind,
                targets: vec![found.target],
                source: found.source,
                user_arguments: found.user_arguments,
            },
            key,
        )),
    }
}

fn attach_point(
    r: &mut Resolver<'_>,
    point: &ast::AttachPoint,
    uses: &Uses,
) -> Option<(&'static ProbeKind, Vec<Found>)> {
    let parts = syntax::parts(r, point)?;
    let (first, rest) = parts.split_first()?;
    let Some(kind) = probes::find(&first.text) else {
        unknown_kind(r, first);
        return None;
    };
    let found = match kind.name {
        "begin" => once(r, kind, point, rest, Attach::Begin)
            .into_iter()
            .collect(),
        "end" => once(r, kind, point, rest, Attach::End)
            .into_iter()
            .collect(),
        "interval" => interval::resolve(r, kind, point, rest)
            .into_iter()
            .collect(),
        "tracepoint" => tracepoint::resolve(r, kind, point, rest),
        "rawtracepoint" => tracepoint::resolve_raw(r, kind, point, rest),
        "skb" => packet::resolve(r, kind, point, rest),
        _ if kind.is_hook() => hook::resolve(r, kind, point, rest),
        _ => {
            let runs_as = match uses.entry() {
                true => probes::with_arguments(kind),
                false => kind,
            };
            return Some((runs_as, function::resolve(r, kind, runs_as, point, rest)));
        }
    };
    Some((kind, found))
}

fn once(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    rest: &[Part],
    attach: Attach,
) -> Option<Found> {
    if !rest.is_empty() {
        syntax::bad_form(
            r,
            point,
            kind.usage,
            format!("`{}` takes no target", kind.name),
        );
        return None;
    }
    Some(Found {
        target: Target {
            attach,
            probe: kind.name.to_string(),
            cookie: 0,
            packet: None,
            span: (point.span.lo, point.span.hi),
        },
        source: Source::None,
        user_arguments: false,
    })
}

fn unknown_kind(r: &mut Resolver<'_>, part: &Part) {
    let name = &part.text;
    let known = ELSEWHERE.iter().find(|(full, aliases)| {
        full.eq_ignore_ascii_case(name) || aliases.contains(&name.as_str())
    });
    if let Some((full, _)) = known {
        let message = format!("nettrace has no `{full}` probes yet");
        let note = "the kind is known from bpftrace";
        r.error(Diagnostic::error(codes::NOT_YET, part.span, message).note(note));
        return;
    }
    let names = probes::KINDS.iter().map(|k| k.name);
    let similar = crate::kernel::similar::nearest(&name.to_ascii_lowercase(), names);
    let diag = Diagnostic::error(
        codes::UNKNOWN_PROBE,
        part.span,
        format!("there is no probe kind `{name}`"),
    );
    let all: Vec<&str> = probes::KINDS.iter().map(|k| k.name).collect();
    let diag = match similar.is_empty() {
        true => diag.help(format!("the kinds are {}", all.join(", "))),
        false => suggest(diag, &similar),
    };
    r.error(diag);
}
