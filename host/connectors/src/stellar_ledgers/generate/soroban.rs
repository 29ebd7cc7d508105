//! Transfers through the Stellar Asset Contract of a token.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractDataDurability, ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, ExtensionPoint, Hash,
    HostFunction, InvokeContractArgs, InvokeHostFunctionOp, InvokeHostFunctionResult,
    InvokeHostFunctionSuccessPreImage, LedgerFootprint, LedgerKey, LedgerKeyContractData, MuxedAccount,
    MuxedEd25519Account, Operation, OperationBody, OperationResultTr, ScAddress, ScMap, ScMapEntry, ScString, ScSymbol,
    ScVal, SorobanAuthorizationEntry, SorobanAuthorizedFunction, SorobanAuthorizedInvocation, SorobanCredentials,
    SorobanResources, SorobanTransactionData, SorobanTransactionDataExt,
};

use super::names::{Account, Holder, Token, account_id, account_key, line_key, list, muxed, vault, xdr};
use super::state::{State, symbol};

/// A transfer of a token by its contract.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub(super) token: Token,
    /// The transaction's source account, or the vault.
    pub(super) from: Holder,
    /// An account, or the vault.
    pub(super) to: Holder,
    /// The user of the receiving account.
    pub(super) user: Option<u64>,
    pub(super) amount: i64,
}

impl Transfer {
    /// The call: of the token's contract, or of the vault that calls it.
    pub(super) fn operation(&self, state: &State) -> Operation {
        let (contract, function, args) = match self.from {
            Holder::Account(_) => {
                let args = vec![ScVal::Address(address(self.from, None)), self.recipient(), self.quantity()];
                (state.contract(self.token).clone(), "transfer", args)
            }
            Holder::Vault | Holder::Pool => {
                let token = ScVal::Address(state.contract(self.token).clone());
                (ScAddress::Contract(vault()), "release", vec![token, self.recipient(), self.quantity()])
            }
        };
        let call = InvokeContractArgs {
            contract_address: contract,
            function_name: ScSymbol(function.try_into().expect("symbols are short")),
            args: list(args),
        };
        let root_invocation = SorobanAuthorizedInvocation {
            function: SorobanAuthorizedFunction::ContractFn(call.clone()),
            sub_invocations: list(Vec::new()),
        };
        let authorization =
            SorobanAuthorizationEntry { credentials: SorobanCredentials::SourceAccount, root_invocation };
        let host_function = HostFunction::InvokeContract(call);
        let body =
            OperationBody::InvokeHostFunction(InvokeHostFunctionOp { host_function, auth: list(vec![authorization]) });
        Operation { source_account: None, body }
    }

    /// What the call touches and may use.
    pub(super) fn resources(&self, state: &State, resource_fee: i64) -> SorobanTransactionData {
        let mut read_only = vec![instance(state.contract(self.token).clone())];
        if self.from == Holder::Vault {
            read_only.push(instance(ScAddress::Contract(vault())));
        }
        let read_write = [self.from, self.to].map(|holder| match holder {
            Holder::Account(account) if self.token == Token::Native => account_key(account),
            Holder::Account(account) => line_key(account, self.token),
            Holder::Vault | Holder::Pool => state.vault_key(self.token),
        });
        SorobanTransactionData {
            ext: SorobanTransactionDataExt::V0,
            resources: SorobanResources {
                footprint: LedgerFootprint { read_only: list(read_only), read_write: list(read_write.to_vec()) },
                instructions: 1_000_000,
                disk_read_bytes: 1_000,
                write_bytes: 1_000,
            },
            resource_fee,
        }
    }

    /// Does it. Where it fails, nothing has changed.
    pub(super) fn apply(
        &self,
        state: &mut State,
    ) -> Result<(OperationResultTr, Vec<ContractEvent>), OperationResultTr> {
        let has_room = match self.to {
            Holder::Account(account) => state.has_room(account, self.token, self.amount),
            holder => state.balance(holder, self.token).checked_add(self.amount).is_some(),
        };
        if self.from == self.to || !has_room || state.balance(self.from, self.token) < self.amount {
            return Err(OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Trapped));
        }
        state.shift(self.from, self.token, -self.amount);
        state.shift(self.to, self.token, self.amount);
        let events = vec![self.event(state)];
        let outcome = InvokeHostFunctionSuccessPreImage { return_value: ScVal::Void, events: list(events.clone()) };
        let hash = Hash(Sha256::digest(xdr(&outcome)).into());
        Ok((OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Success(hash)), events))
    }

    fn event(&self, state: &State) -> ContractEvent {
        let ScAddress::Contract(contract_id) = state.contract(self.token).clone() else {
            unreachable!("tokens are kept by contracts")
        };
        let topics = vec![
            symbol("transfer"),
            ScVal::Address(address(self.from, None)),
            ScVal::Address(address(self.to, None)),
            ScVal::String(ScString(self.token.text().as_str().try_into().expect("assets have short names"))),
        ];
        let amount = self.quantity();
        let data = match self.user {
            None => amount,
            Some(user) => {
                let field = |key, val| ScMapEntry { key: symbol(key), val };
                let fields = vec![field("amount", amount), field("to_muxed_id", ScVal::U64(user))];
                ScVal::Map(Some(ScMap(list(fields))))
            }
        };
        ContractEvent {
            ext: ExtensionPoint::V0,
            contract_id: Some(contract_id),
            type_: ContractEventType::Contract,
            body: ContractEventBody::V0(ContractEventV0 { topics: list(topics), data }),
        }
    }

    fn recipient(&self) -> ScVal {
        ScVal::Address(address(self.to, self.user))
    }

    fn quantity(&self) -> ScVal {
        ScVal::from(i128::from(self.amount))
    }
}

fn address(holder: Holder, user: Option<u64>) -> ScAddress {
    match holder {
        Holder::Account(account) => account_address(account, user),
        Holder::Vault | Holder::Pool => ScAddress::Contract(vault()),
    }
}

fn account_address(account: Account, user: Option<u64>) -> ScAddress {
    match muxed(account, user) {
        MuxedAccount::Ed25519(_) => ScAddress::Account(account_id(account)),
        MuxedAccount::MuxedEd25519(muxed) => {
            ScAddress::MuxedAccount(MuxedEd25519Account { id: muxed.id, ed25519: muxed.ed25519 })
        }
    }
}

fn instance(contract: ScAddress) -> LedgerKey {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract,
        key: ScVal::LedgerKeyContractInstance,
        durability: ContractDataDurability::Persistent,
    })
}
