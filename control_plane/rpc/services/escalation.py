"""Serves who answers alerts."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.escalation import (
    agreement_from_wire,
    agreement_to_wire,
    person_from_wire,
    person_to_wire,
)
from control_plane.store.engine import Tx
from control_plane.usecases import escalation
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class EscalationServicer(v1.EscalationServiceServicer):
    """Sets people and agreements."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def GetEscalation(
        self, request: v1.GetEscalationRequest, context: Context
    ) -> v1.GetEscalationResponse:
        found = await self._transactions.read(request, escalation.get_escalation)
        return v1.GetEscalationResponse(
            people=map(person_to_wire, found.people),
            agreements=map(agreement_to_wire, found.agreements),
        )

    async def SetPerson(self, request: v1.SetPersonRequest, context: Context) -> v1.Person:
        wanted = person_from_wire(request.person)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Person,
            lambda tx, act: person_to_wire(escalation.set_person(tx, wanted, act)),
        )

    async def RemovePerson(
        self, request: v1.RemovePersonRequest, context: Context
    ) -> v1.RemovePersonResponse:
        def remove(tx: Tx, act: Act) -> v1.RemovePersonResponse:
            escalation.remove_person(tx, request.person_id, act)
            return v1.RemovePersonResponse()

        return await self._transactions.change(
            request, request.request_id, v1.RemovePersonResponse, remove
        )

    async def SetAgreement(self, request: v1.SetAgreementRequest, context: Context) -> v1.Agreement:
        wanted = agreement_from_wire(request.agreement)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Agreement,
            lambda tx, act: agreement_to_wire(escalation.set_agreement(tx, wanted, act)),
        )
