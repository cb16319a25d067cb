//! The calls that a cluster answers.

macro_rules! rpcs {
    (pd: $($pd:ident)*; tikv: $($tikv:ident)*;) => {
        /// A call to PD or TiKV. It selects where a fault strikes and which count to read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rpc {
            $(#[doc = concat!("PD's `", stringify!($pd), "`.")] $pd,)*
            $(#[doc = concat!("TiKV's `", stringify!($tikv), "`.")] $tikv,)*
        }

        impl Rpc {
            /// All calls, PD's before TiKV's.
            pub const ALL: &'static [Rpc] = &[$(Rpc::$pd,)* $(Rpc::$tikv,)*];

            /// Whether PD answers this call, rather than a store.
            pub fn is_pd(self) -> bool {
                matches!(self, $(Rpc::$pd)|*)
            }
        }
    };
}

rpcs! {
    pd: GetMembers Tso IsBootstrapped AllocId GetRegion GetPrevRegion GetRegionById ScanRegions GetStore GetAllStores
        GetClusterConfig GetGcSafePoint UpdateGcSafePoint UpdateServiceGcSafePoint LoadKeyspace GetClusterInfo QueryRegion
        BatchScanRegions ScatterRegion SplitRegions AdvanceGcSafePoint AdvanceTxnSafePoint SetGcBarrier DeleteGcBarrier
        GetGcState GetAllKeyspacesGcStates GetMinTs GetAllKeyspaces;
    tikv: KvGet KvScan KvPrewrite KvPessimisticLock KvPessimisticRollback KvTxnHeartBeat KvCheckTxnStatus
        KvCheckSecondaryLocks KvCommit KvCleanup KvBatchGet KvBatchRollback KvScanLock KvResolveLock KvGc KvDeleteRange
        RawGet RawBatchGet RawPut RawBatchPut RawDelete RawBatchDelete RawScan RawBatchScan RawDeleteRange RawGetKeyTtl
        RawCompareAndSwap UnsafeDestroyRange SplitRegion MvccGetByKey MvccGetByStartTs KvFlush
        KvBufferBatchGet RawChecksum BatchCommands;
}

impl Rpc {
    /// How many calls there are.
    pub(crate) const COUNT: usize = Rpc::ALL.len();
}
