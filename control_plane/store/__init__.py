"""The only door to data: one SQL, a dialect per database, numbered migrations."""

from control_plane.store.engine import ConflictError as ConflictError
from control_plane.store.engine import Params as Params
from control_plane.store.engine import Row as Row
from control_plane.store.engine import Store as Store
from control_plane.store.engine import StoreOpenError as StoreOpenError
from control_plane.store.engine import Tx as Tx
from control_plane.store.engine import Value as Value
