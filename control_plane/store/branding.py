"""How the agency shows itself on statements."""

from dataclasses import dataclass

from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Branding:
    """The agency's name, colour, logo and note."""

    agency: str = ""
    colour: str = "#1d6ff2"
    logo_type: str = ""
    logo: bytes = b""
    note: str = ""
    names_bursar: bool = False
    version: int = 0


def get(tx: Tx) -> Branding:
    """The one row; a plain look where nothing was set."""
    row = tx.row("SELECT * FROM branding WHERE id = 1")
    if row is None:
        return Branding()
    return Branding(
        agency=row["agency"],
        colour=row["colour"],
        logo_type=row["logo_type"],
        logo=row["logo"],
        note=row["note"],
        names_bursar=bool(row["names_bursar"]),
        version=row["version"],
    )


def put(tx: Tx, wanted: Branding) -> None:
    """Replace it."""
    tx.run(
        """INSERT INTO branding (id, agency, colour, logo_type, logo, note, names_bursar, version)
           VALUES (1, :agency, :colour, :logo_type, :logo, :note, :names, :version)
           ON CONFLICT (id) DO UPDATE SET agency = excluded.agency, colour = excluded.colour,
             logo_type = excluded.logo_type, logo = excluded.logo, note = excluded.note,
             names_bursar = excluded.names_bursar, version = excluded.version""",
        {
            "agency": wanted.agency,
            "colour": wanted.colour,
            "logo_type": wanted.logo_type,
            "logo": wanted.logo,
            "note": wanted.note,
            "names": int(wanted.names_bursar),
            "version": wanted.version,
        },
    )
