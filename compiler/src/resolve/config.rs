//! The config block: options of the language to [`Settings`] and [`Limits`].
//!
//! In: the block, and overrides from outside (environment, command line), which win. Out: settings. Options of bpftrace that mean
//! nothing here are accepted with a warning.

use nettrace_grammar::{Diagnostic, Sink, Span, ast, codes};

use super::suggest;
use crate::artifact::{MissingProbes, Settings, StackMode};
use crate::kernel::similar;
use crate::typed::Limits;

/// What the config block decides.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    /// The largest number of targets of a probe.
    pub(crate) max_probes: u32,
}

/// Options that act.
const KEYS: [&str; 8] = [
    "max_map_keys",
    "max_probes",
    "max_strlen",
    "missing_probes",
    "perf_rb_pages",
    "print_maps_on_exit",
    "stack_mode",
    "str_trunc_trailer",
];

/// Names of the options that act.
pub fn names() -> &'static [&'static str] {
    &KEYS
}

/// Options of bpftrace that have nothing to act on.
const IGNORED: [&str; 21] = [
    "cache_user_symbols",
    "cpp_demangle",
    "lazy_symbolication",
    "license",
    "log_size",
    "max_bpf_progs",
    "max_cat_bytes",
    "max_type_res_iterations",
    "on_stack_limit",
    "show_debug_info",
    "symbol_source",
    "unstable_addr",
    "unstable_dw_ustack",
    "unstable_import",
    "unstable_import_statement",
    "unstable_macro",
    "unstable_map_decl",
    "unstable_tseries",
    "unstable_typeinfo",
    "use_blazesym",
    "no_cpp_demangle",
];

/// Old names of options.
const RENAMED: [(&str, &str); 2] = [("strlen", "max_strlen"), ("map_keys_max", "max_map_keys")];

/// The largest `max_strlen`: a string must fit into a per-CPU map value several times.
const MAX_STRLEN: u64 = 8192;

/// The largest `perf_rb_pages`: a gigabyte.
const MAX_RING_PAGES: u64 = 1 << 18;

/// Bytes of a page, as `perf_rb_pages` counts them.
const PAGE: u32 = 4096;

/// A value that an option does not take: what it takes.
struct Refused(String);

/// Reads the block.
pub(crate) fn read(
    block: Option<&ast::Config>,
    overrides: &[(String, String)],
    sink: &mut Sink,
) -> Configuration {
    let mut config = Configuration {
        settings: Settings::default(),
        limits: Limits::default(),
        max_probes: 1024,
    };
    for entry in block.iter().flat_map(|b| &b.entries) {
        set(
            &mut config,
            sink,
            &entry.key.name,
            &entry.value.name,
            Some((entry.key.span, entry.value.span)),
        );
    }
    for (key, value) in overrides {
        set(&mut config, sink, key, value, None);
    }
    config
}

fn set(
    config: &mut Configuration,
    sink: &mut Sink,
    key: &str,
    value: &str,
    at: Option<(Span, Span)>,
) {
    let error = |span: Option<Span>, message: String| match span {
        Some(span) => Diagnostic::error(codes::BAD_CONFIG, span, message),
        None => Diagnostic::host(codes::BAD_CONFIG, message),
    };
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == key) {
        sink.error(error(
            at.map(|a| a.0),
            format!("the option `{key}` is called `{new}` now"),
        ));
        return;
    }
    if IGNORED.contains(&key) {
        if let Some((span, _)) = at {
            let message = format!("the option `{key}` has no effect in nettrace");
            sink.warn(Diagnostic::warning(codes::IGNORED_OPTION, span, message));
        }
        return;
    }
    if !KEYS.contains(&key) {
        let names = similar::nearest(key, KEYS);
        let diag = error(at.map(|a| a.0), format!("there is no option `{key}`"));
        let diag = match names.is_empty() {
            true => diag.help(format!("the options are {}", KEYS.join(", "))),
            false => suggest(diag, &names),
        };
        sink.error(diag);
        return;
    }
    if let Err(Refused(takes)) = apply(config, key, value) {
        let diag = error(
            at.map(|a| a.1),
            format!("the option `{key}` cannot be `{value}`"),
        );
        sink.error(diag.help(format!("it takes {takes}")));
    }
}

fn apply(config: &mut Configuration, key: &str, value: &str) -> Result<(), Refused> {
    let settings = &mut config.settings;
    match key {
        "max_map_keys" => config.limits.max_map_keys = number(value, 1, u64::from(u32::MAX))?,
        "max_probes" => config.max_probes = number(value, 1, u64::from(u32::MAX))?,
        "max_strlen" => config.limits.max_strlen = number(value, 2, MAX_STRLEN)?,
        "missing_probes" => {
            settings.missing_probes = match value {
                "error" => MissingProbes::Error,
                "warn" => MissingProbes::Warn,
                "ignore" => MissingProbes::Ignore,
                _ => return Err(Refused("error, warn or ignore".to_string())),
            };
        }
        "perf_rb_pages" => {
            let pages = number(value, 0, MAX_RING_PAGES)?;
            config.limits.ring_bytes = match pages {
                0 => Limits::default().ring_bytes,
                _ => (pages * PAGE).next_power_of_two(),
            };
        }
        "print_maps_on_exit" => settings.print_maps_on_exit = boolean(value)?,
        "stack_mode" => {
            settings.stack_mode = match value {
                "bpftrace" => StackMode::Bpftrace,
                "perf" => StackMode::Perf,
                "raw" => StackMode::Raw,
                _ => return Err(Refused("bpftrace, perf or raw".to_string())),
            };
        }
        "str_trunc_trailer" => settings.str_trunc_trailer = value.to_string(),
        _ => {}
    }
    Ok(())
}

fn number(value: &str, least: u64, most: u64) -> Result<u32, Refused> {
    let parsed = value.replace('_', "").parse::<u64>().ok();
    parsed
        .filter(|n| (least..=most).contains(n))
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| Refused(format!("a number from {least} to {most}")))
}

fn boolean(value: &str) -> Result<bool, Refused> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Ok(true),
        "0" | "false" | "off" | "no" => Ok(false),
        _ => Err(Refused("true or false".to_string())),
    }
}
