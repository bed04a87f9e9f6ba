//! The table of kernel helpers that the compiler calls: one row per helper.
//!
//! Numbers: `enum bpf_func_id` of `include/uapi/linux/bpf.h`; they are ABI and never change.

/// How a helper changes what the optimiser may assume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The same value each time within one run of the program (the current task, the CPU).
    Pure,
    /// A different value each time, no other effect (clock, random numbers).
    Volatile,
    /// Writes memory or has other effects: never removed, never moved.
    Effect,
}

macro_rules! helpers {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $c_name:literal, $args:literal, $effect:ident;)*) => {
        /// A kernel helper.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Helper { $(#[doc = concat!("`bpf_", $c_name, "`")] $name),* }

        impl Helper {
            /// All rows.
            pub const ALL: &[Helper] = &[$(Helper::$name),*];
            /// `enum bpf_func_id`.
            pub fn number(self) -> i32 { match self { $(Helper::$name => $number),* } }
            /// The name without `bpf_`.
            pub fn name(self) -> &'static str { match self { $(Helper::$name => $c_name),* } }
            /// How many arguments it takes.
            pub fn args(self) -> usize { match self { $(Helper::$name => $args),* } }
            /// What it does beside its result.
            pub fn effect(self) -> Effect { match self { $(Helper::$name => Effect::$effect),* } }
            /// The helper of this name (without `bpf_`).
            pub fn by_name(name: &str) -> Option<Helper> { Helper::ALL.iter().copied().find(|h| h.name() == name) }
            /// The helper with this number.
            pub fn by_number(number: i32) -> Option<Helper> { Helper::ALL.iter().copied().find(|h| h.number() == number) }
        }
    };
}

helpers! {
    MapLookup            = 1,   "map_lookup_elem", 2, Effect;
    MapUpdate            = 2,   "map_update_elem", 4, Effect;
    MapDelete            = 3,   "map_delete_elem", 2, Effect;
    KtimeGetNs           = 5,   "ktime_get_ns", 0, Volatile;
    GetPrandomU32        = 7,   "get_prandom_u32", 0, Volatile;
    GetSmpProcessorId    = 8,   "get_smp_processor_id", 0, Pure;
    GetCurrentPidTgid    = 14,  "get_current_pid_tgid", 0, Pure;
    GetCurrentUidGid     = 15,  "get_current_uid_gid", 0, Pure;
    GetCurrentComm       = 16,  "get_current_comm", 2, Effect;
    GetCurrentTask       = 35,  "get_current_task", 0, Pure;
    GetNumaNodeId        = 42,  "get_numa_node_id", 0, Pure;
    GetStack             = 67,  "get_stack", 4, Effect;
    GetCurrentCgroupId   = 80,  "get_current_cgroup_id", 0, Pure;
    ProbeReadUser        = 112, "probe_read_user", 3, Effect;
    ProbeReadKernel      = 113, "probe_read_kernel", 3, Effect;
    ProbeReadUserStr     = 114, "probe_read_user_str", 3, Effect;
    ProbeReadKernelStr   = 115, "probe_read_kernel_str", 3, Effect;
    Jiffies64            = 118, "jiffies64", 0, Volatile;
    KtimeGetBootNs       = 125, "ktime_get_boot_ns", 0, Volatile;
    RingbufOutput        = 130, "ringbuf_output", 4, Effect;
    RingbufReserve       = 131, "ringbuf_reserve", 3, Effect;
    RingbufSubmit        = 132, "ringbuf_submit", 2, Effect;
    RingbufDiscard       = 133, "ringbuf_discard", 2, Effect;
    GetCurrentTaskBtf    = 158, "get_current_task_btf", 0, Pure;
    ForEachMapElem       = 164, "for_each_map_elem", 4, Effect;
    GetFuncIp            = 173, "get_func_ip", 1, Pure;
    GetAttachCookie      = 174, "get_attach_cookie", 1, Pure;
    Loop                 = 181, "loop", 4, Effect;
    Strncmp              = 182, "strncmp", 3, Volatile;
    GetFuncArg           = 183, "get_func_arg", 3, Effect;
    GetFuncRet           = 184, "get_func_ret", 2, Effect;
    MapLookupPercpu      = 195, "map_lookup_percpu_elem", 3, Effect;
    KtimeGetTaiNs        = 208, "ktime_get_tai_ns", 0, Volatile;
}
