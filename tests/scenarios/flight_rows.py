"""Rows of a record of flights, as a test needs them: one field changed, the rest ordinary."""

FIELDS = {
    "year": "2013",
    "month": "1",
    "day": "1",
    "dep_time": "517",
    "sched_dep_time": "515",
    "dep_delay": "2",
    "arr_time": "830",
    "sched_arr_time": "819",
    "arr_delay": "11",
    "carrier": "UA",
    "flight": "1545",
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": "227",
    "distance": "1400",
    "hour": "5",
    "minute": "15",
    "time_hour": "2013-01-01T10:00:00Z",
}
HEADER = ",".join(FIELDS)
CANCELLED = dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"), "NA")
DIVERTED = dict.fromkeys(("arr_delay", "air_time"), "NA")


def row(**fields: str) -> str:
    """A line of the CSV: an ordinary flight that landed, with these fields instead."""
    unknown = fields.keys() - FIELDS.keys()
    if unknown:
        raise ValueError(f"no such columns: {sorted(unknown)}")
    return ",".join({**FIELDS, **fields}.values())
