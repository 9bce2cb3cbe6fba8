"""Serves the monthly review and the model matrix."""

import grpc.aio

from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.review import matrix_to_wire, review_to_wire
from control_plane.usecases import model_matrix, review
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class ReviewServicer(v1.ReviewServiceServicer):
    """Reads what an agency looks at once a month."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def GetReview(self, request: v1.GetReviewRequest, context: Context) -> v1.Review:
        month, now = request.month, self._transactions.now_unix_ms()
        found = await self._transactions.read(request, lambda tx: review.get_review(tx, month, now))
        return review_to_wire(found)

    async def GetModelMatrix(
        self, request: v1.GetModelMatrixRequest, context: Context
    ) -> v1.ModelMatrix:
        now = self._transactions.now_unix_ms()
        found = await self._transactions.read(
            request, lambda tx: model_matrix.get_model_matrix(tx, now)
        )
        return matrix_to_wire(found)
