"""From method and path to a row, in time that depends on the path's length and not on how many rows there are."""

from urllib.parse import unquote_to_bytes

from madoguchi import errors
from madoguchi.web.endpoint import Row


class _Node:
    __slots__ = ("children", "rows", "variable")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.rows: dict[str, tuple[Row, tuple[str, ...]]] = {}


class Router:
    """Rows by path. A literal segment goes before a `{variable}` one; a path that ends in `/` is one of its own."""

    def __init__(self, rows: list[Row]) -> None:
        self._root = _Node()
        for row in rows:
            if not row.also:
                self._add(row)

    def _add(self, row: Row) -> None:
        node = self._root
        names: list[str] = []
        for segment in row.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.children.setdefault(segment, _Node())
        if row.method in node.rows:
            raise ValueError(f"two rows for {row.method} {row.path}")
        node.rows[row.method] = (row, tuple(names))

    def find(self, method: str, raw_path: str) -> tuple[Row, dict[str, str]]:
        """The row and its path variables, percent-decoded.

        Raises Unrecognized for a path that no row has, WrongMethod where only the method differs, Invalid for a
        variable that is not UTF-8 or has a NUL.
        """
        segments = raw_path.split("/")[1:]
        found = self._walk(self._root, segments, 0, [])
        if found is None:
            raise errors.Unrecognized("There is nothing at this path.")
        node, values = found
        match = node.rows.get(method)
        if match is None:
            raise errors.WrongMethod("This path does not take that method.")
        row, names = match
        return row, {name: _decoded(value) for name, value in zip(names, values, strict=True)}

    def _walk(self, node: _Node, segments: list[str], at: int, values: list[str]) -> tuple[_Node, list[str]] | None:
        if at == len(segments):
            return (node, values) if node.rows else None
        segment = segments[at]
        child = node.children.get(segment)
        if child is not None:
            found = self._walk(child, segments, at + 1, values)
            if found is not None:
                return found
        if node.variable is not None:
            return self._walk(node.variable, segments, at + 1, [*values, segment])
        return None


def _decoded(value: str) -> str:
    if "%" in value:
        try:
            value = unquote_to_bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise errors.Invalid("The path is not valid UTF-8.") from None
    if "\0" in value:
        raise errors.Invalid("The path has a NUL character.")
    return value
