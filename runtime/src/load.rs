//! Object to kernel: maps are created, programs verified, probes attached.
//!
//! In: the bytes of an object file and answers about the kernel's functions. Out: [`Loaded`], which goes through its life in this order:
//! [`Loaded::load`], [`Loaded::check_host`], [`Loaded::run_begin`], [`Loaded::attach`], then (see [`Live`]) `detach` and `run_end`. Dropping
//! it at any point leaves nothing in the kernel, and so does killing the process: nothing is ever pinned.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;

use nettrace_compiler::artifact::{
    Attach, Map as PlannedMap, MapId, Plan, Program, ProgramId, Target,
};
use nettrace_compiler::index::IndexVec;
use nettrace_compiler::object;
use nettrace_grammar::{Diagnostic, SourceMap, codes};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use crate::attach::{self, KernelFunctions, Prepared, Progress, Report, Site, Stop};
use crate::code::{Code, Parsed};
use crate::control::Control;
use crate::live::{Entries, Live, Missed};
use crate::maps::KernelMap;
use crate::output::Skipped;
use crate::privilege::refused;
use crate::ring::KernelRing;
use crate::sys::{self, SysError};

/// Up to this many links are closed at once, before the last events are printed.
const FEW_LINKS: usize = 4;

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Adds the verifier's whole log to the message about a program it refused.
    pub verifier_log: bool,
    /// Tells the functions of `skb` probes that are left out by name, each with its reason.
    pub list_skipped: bool,
    /// Shows a line on a terminal while attaching or detaching takes long.
    pub progress: bool,
    /// What `elapsed` counts from, nanoseconds of `CLOCK_BOOTTIME`; the start of the script unless given.
    pub since: Option<u64>,
}

/// Kernel maps that several scripts use: those of the scripts by name, and the ring buffer.
#[derive(Clone, Debug, Default)]
pub struct SharedMaps {
    scripts: HashMap<String, Rc<KernelMap>>,
    ring: Option<Rc<KernelMap>>,
}

impl SharedMaps {
    /// The shared map that stands for one of a plan.
    fn of(&self, plan: &Plan, id: MapId, map: &PlannedMap) -> Option<&Rc<KernelMap>> {
        match &map.script {
            Some(script) => self.scripts.get(&script.name),
            None if plan.ring == Some(id) => self.ring.as_ref(),
            None => None,
        }
    }

    /// From now on the maps of a loaded script are shared too; gives the names of those that were not.
    pub fn add(&mut self, loaded: &Loaded) -> Vec<String> {
        let mut new = Vec::new();
        for (planned, map) in loaded.plan.maps.iter().zip(loaded.maps.iter()) {
            if let Some(script) = &planned.script
                && !self.scripts.contains_key(&script.name)
            {
                self.scripts.insert(script.name.clone(), Rc::clone(map));
                new.push(script.name.clone());
            }
        }
        if let (None, Some(ring)) = (&self.ring, loaded.plan.ring) {
            self.ring = loaded.maps.get(ring).cloned();
        }
        new
    }

    /// Later scripts do not get the map of this name (`@start`); those that have it keep it.
    pub fn forget(&mut self, name: &str) {
        self.scripts.remove(name);
    }
}

/// A script in the kernel.
#[derive(Debug)]
pub struct Loaded {
    plan: Plan,
    sources: SourceMap,
    // Fields are dropped in this order: links before programs before maps.
    links: Vec<(ProgramId, OwnedFd)>,
    programs: IndexVec<ProgramId, Prepared>,
    codes: IndexVec<ProgramId, Code>,
    control: Option<Control>,
    maps: IndexVec<MapId, Rc<KernelMap>>,
    btf: Option<OwnedFd>,
    warnings: Vec<Diagnostic>,
    options: LoadOptions,
}

impl Loaded {
    /// Creates the maps and has the kernel verify every program. Nothing runs yet.
    ///
    /// # Errors
    /// `BAD_OBJECT`, `NO_PRIVILEGE` and others about the host; `VERIFIER` on the script's line, one per program.
    pub fn load(
        elf: &[u8],
        functions: &dyn KernelFunctions,
        options: LoadOptions,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        Loaded::load_beside(elf, functions, options, &SharedMaps::default())
    }

    /// The same, with maps that other scripts have made: those of the same name are used instead of new ones.
    ///
    /// # Errors
    /// As [`Loaded::load`]; `BAD_OBJECT` when a shared map has not the shape that the object needs.
    pub fn load_beside(
        elf: &[u8],
        functions: &dyn KernelFunctions,
        options: LoadOptions,
        shared: &SharedMaps,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let one = |diag: Diagnostic| vec![diag];
        let plan = object::read(elf).map_err(one)?;
        let mut sources = SourceMap::new();
        for (name, text) in &plan.sources {
            sources.add(name.clone(), text.clone());
        }
        let parsed = Parsed::new(elf).map_err(one)?;
        raise_limits(&plan);
        let btf = load_btf(&parsed.btf).map_err(one)?;
        let maps = create_maps(&plan, &parsed, btf.as_ref(), shared).map_err(one)?;
        let control = map_control(&plan, &maps).map_err(one)?;
        let codes = parsed.link(&plan, &maps, &sources).map_err(one)?;
        let mut loaded = Loaded {
            plan,
            sources,
            links: Vec::new(),
            programs: IndexVec::new(),
            codes,
            control,
            maps,
            btf,
            warnings: Vec::new(),
            options,
        };
        loaded.prepare(functions)?;
        Ok(loaded)
    }

    /// What the object says about itself.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The scripts that diagnostics point into.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Warnings since the last call: targets that were skipped.
    pub fn take_warnings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.warnings)
    }

    fn prepare(&mut self, functions: &dyn KernelFunctions) -> Result<(), Vec<Diagnostic>> {
        let mut report = Report::new(&self.plan);
        let mut programs = IndexVec::new();
        for (program, code) in self.plan.programs.iter().zip(self.codes.iter()) {
            let loader = attach::Loader {
                code,
                btf: self.btf.as_ref().map(|fd| fd.as_fd()),
                sources: &self.sources,
                verifier_log: self.options.verifier_log,
            };
            programs.push(attach::prepare(program, &loader, functions, &mut report));
        }
        self.programs = programs;
        self.warnings.extend(report.finish()?);
        Ok(())
    }

    /// Whether this kernel has what the probes hang on at all (a tracing file system, kprobes). Before anything runs.
    ///
    /// # Errors
    /// `NO_KPROBES`, `NO_TRACEFS`.
    pub fn check_host(&self) -> Result<(), Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for program in self.plan.programs.iter() {
            if let Some(target) = program.targets.first()
                && let Err(diag) = attach::check_host(target)
                && !problems
                    .iter()
                    .any(|p: &Diagnostic| p.message == diag.message)
            {
                problems.push(diag);
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// The consumer's side of the ring buffer; `None` when the script sends nothing.
    ///
    /// # Errors
    /// `KERNEL_REFUSED` when it cannot be mapped.
    pub fn ring(&self) -> Result<Option<KernelRing>, Diagnostic> {
        let Some(map) = self.plan.ring.and_then(|id| self.maps.get(id)) else {
            return Ok(None);
        };
        let failed = |e: &dyn std::fmt::Display| {
            Diagnostic::host(codes::KERNEL_REFUSED, "cannot map the ring buffer")
                .note(e.to_string())
                .help("a smaller one may fit: `config = { perf_rb_pages = 16 }`")
        };
        let fd = map.as_fd().try_clone_to_owned().map_err(|e| failed(&e))?;
        // In a session it is the ring of another script, and as large as that wanted.
        let size = sys::info::max_entries(map.as_fd()).map_err(|e| failed(&e))?;
        let ring = KernelRing::new(fd, size).map_err(|e| failed(&e))?;
        Ok(Some(ring))
    }

    /// Runs the `begin` programs; from here on the script's time counts.
    ///
    /// # Errors
    /// `KERNEL_REFUSED` when the kernel cannot run programs on request.
    pub fn run_begin(&mut self) -> Result<(), Diagnostic> {
        if let Some(control) = &self.control {
            match self.options.since {
                Some(since) => control.start_at(since),
                None => control.start(),
            }
        }
        self.run_all(|attach| matches!(attach, Attach::Begin))
    }

    fn run_all(&self, which: impl Fn(&Attach) -> bool) -> Result<(), Diagnostic> {
        for (id, program) in self.plan.programs.iter_enumerated() {
            for target in program.targets.iter().filter(|t| which(&t.attach)) {
                self.run_once(id, target)?;
            }
        }
        Ok(())
    }

    fn run_once(&self, id: ProgramId, target: &Target) -> Result<(), Diagnostic> {
        let Some(Prepared::OnRequest(fd)) = self.programs.get(id) else {
            return Ok(());
        };
        match sys::prog::run_raw_tracepoint(fd.as_fd()) {
            Ok(_) => Ok(()),
            Err(e) => Err(refused(&format!("run `{}`", target.probe), &e)),
        }
    }

    /// Attaches everything, then lets the programs record. Returns how many targets are attached.
    ///
    /// `stop` is asked again and again; once it says so, attaching ends early. What was attached then is detached by [`Live::detach`].
    ///
    /// # Errors
    /// Targets that cannot be attached, on their places in the script; then nothing stays attached.
    pub fn attach(
        &mut self,
        functions: &dyn KernelFunctions,
        stop: Stop<'_>,
    ) -> Result<Attached, Vec<Diagnostic>> {
        self.attach_some(functions, stop, &|_| true)
    }

    /// The same for some of the programs, which are not attached.
    ///
    /// # Errors
    /// As [`Loaded::attach`].
    pub fn attach_some(
        &mut self,
        functions: &dyn KernelFunctions,
        stop: Stop<'_>,
        which: &dyn Fn(ProgramId) -> bool,
    ) -> Result<Attached, Vec<Diagnostic>> {
        let mut report = Report::new(&self.plan);
        let mut attached = 0;
        let chosen = self.plan.programs.iter_enumerated();
        let chosen = chosen.filter(|(id, _)| which(*id));
        let total = chosen.map(|(_, p)| p.targets.len()).sum();
        let progress = Progress::new("Attaching", "Ctrl-C stops", total, self.options.progress);
        let site = Site {
            functions,
            stop,
            progress: &progress,
        };
        let programs = self.plan.programs.iter_enumerated();
        let chosen = programs
            .zip(self.codes.iter())
            .filter_map(|((id, program), code)| {
                let prepared = self.programs.get(id).filter(|_| which(id))?;
                Some((id, program, prepared, code))
            });
        let chosen: Vec<_> = chosen.collect();
        // Each trampoline waits for the kernel, so those of all programs do together.
        let trampolines: Vec<_> = chosen
            .iter()
            .filter_map(|(id, program, prepared, _)| Some((*id, *program, prepared.each()?)))
            .collect();
        let links = attach::trampolines(&trampolines, &site, &mut report);
        attached += links.len();
        self.links.extend(links);
        for (id, program, prepared, code) in chosen {
            let loader = attach::Loader {
                code,
                btf: self.btf.as_ref().map(|fd| fd.as_fd()),
                sources: &self.sources,
                verifier_log: self.options.verifier_log,
            };
            let outcome = attach::attach(program, prepared, &loader, &site, &mut report);
            attached += outcome.targets;
            let links = outcome.links.into_iter().map(|link| (id, link));
            self.links.extend(links);
            if stop() {
                return Ok(Attached::Stopped);
            }
        }
        drop(progress);
        let skipped = report.skipped();
        if self.options.list_skipped || attached == 0 {
            report.list_skipped();
        }
        match report.finish() {
            Ok(warnings) => self.warnings.extend(warnings),
            Err(problems) => {
                self.detach_some(which, stop);
                return Err(problems);
            }
        }
        if attached == 0 && self.plan.programs.iter().any(waits) {
            let mut problems = std::mem::take(&mut self.warnings);
            problems.push(
                Diagnostic::host(codes::NO_SUCH_TARGET, "no probe is left to attach")
                    .note("every target of the script is missing on this kernel")
                    .help("`nettrace -l PATTERN` lists what there is"),
            );
            return Err(problems);
        }
        self.enable(true);
        Ok(Attached::All(attached, skipped))
    }

    /// Closes the links of some of the programs.
    pub fn detach_some(&mut self, which: &dyn Fn(ProgramId) -> bool, stop: Stop<'_>) {
        let links = std::mem::take(&mut self.links);
        let (gone, kept): (Vec<_>, Vec<_>) = links.into_iter().partition(|(id, _)| which(*id));
        self.links = kept;
        let links: Vec<OwnedFd> = gone.into_iter().map(|(_, link)| link).collect();
        let hint = "Ctrl-C leaves the rest to the background";
        let progress = Progress::new("Detaching", hint, links.len(), self.options.progress);
        attach::close_all(links, &progress, stop);
    }

    /// What the kernel has counted of a program: how often it ran, and nanoseconds in total. Zero unless the kernel was told to count.
    pub fn run_counts(&self, program: ProgramId) -> (u64, u64) {
        let prepared = self.programs.get(program);
        let counts = prepared.into_iter().flat_map(Prepared::fds);
        let counts = counts.map(sys::info::run_counts);
        counts.fold((0, 0), |(runs, time), (r, t)| (runs + r, time + t))
    }

    /// Lets programs record, or stops them at once; they stay attached.
    pub fn enable(&self, on: bool) {
        if let Some(control) = &self.control {
            control.enable(on);
        }
    }

    fn with_map<T>(
        &self,
        id: MapId,
        verb: &str,
        action: impl Fn(&KernelMap) -> Result<T, SysError>,
    ) -> Result<T, Diagnostic> {
        let map = self.maps.get(id).ok_or_else(|| {
            Diagnostic::host(codes::BAD_OBJECT, format!("the object has no map {id}"))
        })?;
        action(map).map_err(|e| {
            let doing = format!("{verb} map `{}`", map_name(&self.plan, id));
            refused(&doing, &e)
        })
    }
}

impl Live for Loaded {
    fn entries(&mut self, map: MapId) -> Result<Entries, Diagnostic> {
        self.with_map(map, "read", KernelMap::entries)
    }

    fn clear(&mut self, map: MapId) -> Result<(), Diagnostic> {
        self.with_map(map, "clear", KernelMap::clear)
    }

    fn zero(&mut self, map: MapId) -> Result<(), Diagnostic> {
        self.with_map(map, "zero", KernelMap::zero)
    }

    fn fire(&mut self, program: ProgramId, target: &Target) -> Result<(), Diagnostic> {
        self.run_once(program, target)
    }

    fn missed(&mut self) -> Vec<Missed> {
        let mut all: Vec<Missed> = Vec::new();
        for (program, prepared) in self.programs.iter_enumerated() {
            let busy = prepared.fds().map(sys::info::recursion_misses).sum();
            let links = self.links.iter().filter(|(id, _)| *id == program);
            let nested = links
                .map(|(_, link)| sys::info::link_misses(link.as_fd()))
                .sum();
            if busy > 0 || nested > 0 {
                all.push(Missed {
                    program,
                    busy,
                    nested,
                });
            }
        }
        all
    }

    fn silence(&mut self) {
        self.enable(false);
        if self.links.len() <= FEW_LINKS {
            self.links.clear();
        } else {
            sys::process::wait_for_programs();
        }
    }

    fn detach(&mut self, stop: Stop<'_>) {
        self.enable(false);
        self.detach_some(&|_| true, stop);
    }

    fn run_end(&mut self) -> Result<(), Diagnostic> {
        self.run_all(|attach| matches!(attach, Attach::End))
    }
}

/// What [`Loaded::attach`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// This many targets are attached (`begin`, `end` and `interval` included) and record; these are left out.
    All(usize, Vec<Skipped>),
    /// Told to stop before the end; nothing records.
    Stopped,
}

/// Whether the program needs something to attach to.
fn waits(program: &Program) -> bool {
    program
        .targets
        .iter()
        .any(|t| !matches!(t.attach, Attach::Begin | Attach::End))
}

fn map_name(plan: &Plan, id: MapId) -> &str {
    plan.maps.get(id).map_or("?", |map| {
        map.script.as_ref().map_or(&map.symbol, |s| &s.name)
    })
}

/// Limits that a tracer needs higher than usual. Where that is forbidden, the call that hits the limit says so.
fn raise_limits(plan: &Plan) {
    // Before 5.11 maps count against it; later kernels do not look at it.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    // A target holds a link and may hold a program, and one more file while it is attached.
    let targets: usize = plan.programs.iter().map(|p| p.targets.len()).sum();
    let wanted = 2 * targets as u64 + 256;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

fn load_btf(section: &[u8]) -> Result<Option<OwnedFd>, Diagnostic> {
    if section.is_empty() {
        return Ok(None);
    }
    match sys::btf::load(section) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) => Err(refused("load programs into the kernel", &e)),
    }
}

fn create_maps(
    plan: &Plan,
    parsed: &Parsed,
    btf: Option<&OwnedFd>,
    shared: &SharedMaps,
) -> Result<IndexVec<MapId, Rc<KernelMap>>, Diagnostic> {
    plan.maps
        .iter_enumerated()
        .map(|(id, map)| {
            if let Some(known) = shared.of(plan, id, map) {
                return match known.serves(map) {
                    true => Ok(Rc::clone(known)),
                    false => Err(other_shape(plan, id)),
                };
            }
            let types = btf
                .zip(parsed.map_types(&map.symbol))
                .map(|(fd, (key, value))| (fd.as_fd(), key, value));
            let created = KernelMap::create(map, plan.control == Some(id), types);
            created.map(Rc::new).map_err(|e| {
                let doing = format!("create map `{}`", map_name(plan, id));
                refused(&doing, &e)
            })
        })
        .collect()
}

fn other_shape(plan: &Plan, id: MapId) -> Diagnostic {
    let message = format!(
        "the map `{}` has another shape in this object",
        map_name(plan, id)
    );
    Diagnostic::host(codes::BAD_OBJECT, message)
}

fn map_control(
    plan: &Plan,
    maps: &IndexVec<MapId, Rc<KernelMap>>,
) -> Result<Option<Control>, Diagnostic> {
    let Some(id) = plan.control else {
        return Ok(None);
    };
    let (Some(map), Some(planned)) = (maps.get(id), plan.maps.get(id)) else {
        return Ok(None);
    };
    Control::map(map.as_fd(), planned.value_size)
        .map(Some)
        .map_err(|e| refused("map the control map", &e))
}

#[cfg(test)]
mod tests;
