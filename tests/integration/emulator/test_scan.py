import pytest


def scan_all(rest, *options):
    """Return the pages of a complete scan."""
    cursor, pages = "0", []
    while True:
        cursor, page = rest.send("SCAN", cursor, *options)
        assert isinstance(cursor, str)
        pages.append(page)
        if cursor == "0":
            return pages


@pytest.fixture
def keys(rest):
    names = [f"key:{number}" for number in range(100)]
    rest.send("MSET", *(word for name in names for word in (name, "v")))
    return names


def test_a_small_keyspace_is_returned_in_one_page(rest, keys):
    assert [sorted(page) for page in scan_all(rest)] == [sorted(keys)]


def test_a_page_has_exactly_count_keys(rest, keys):
    pages = scan_all(rest, "COUNT", 7)
    assert [len(page) for page in pages][:14] == [7] * 14
    assert sorted(key for page in pages for key in page) == sorted(keys)


def test_a_count_of_one_returns_one_key_and_the_next_cursor(rest, keys):
    cursor, page = rest.send("SCAN", 0, "COUNT", 1)
    assert len(page) == 1
    assert int(cursor) > 2**53


def test_deleting_while_scanning_misses_no_key(rest, keys):
    cursor = "0"
    while True:
        cursor, page = rest.send("SCAN", cursor, "COUNT", 3)
        if page:
            rest.send("UNLINK", *page)
        if cursor == "0":
            break
    assert rest.send("DBSIZE") == 0


def test_scan_filters_by_pattern_and_type(rest, keys):
    rest.send("LPUSH", "key:list", "x")
    matched = [key for page in scan_all(rest, "MATCH", "key:1*", "COUNT", 5) for key in page]
    assert sorted(matched) == sorted(key for key in keys if key.startswith("key:1"))
    assert [key for page in scan_all(rest, "TYPE", "list") for key in page] == ["key:list"]


def test_withtype_returns_a_flat_list_of_keys_and_types(rest):
    rest.pipeline(["SET", "s", 1], ["LPUSH", "l", 1])
    _, page = rest.send("SCAN", 0, "WITHTYPE")
    assert dict(zip(page[::2], page[1::2], strict=True)) == {"s": "string", "l": "list"}


def test_each_page_is_one_billed_command(emulator, rest, keys):
    with emulator.count() as spent:
        pages = scan_all(rest, "COUNT", 3, "WITHTYPE")
    assert spent.billed == len(pages)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["x"], "ERR invalid cursor"),
        ([0, "COUNT", 0], "ERR syntax error"),
        ([0, "COUNT", "x"], "ERR value is not an int or out of range"),
        ([0, "EVERY"], "ERR syntax error"),
        ([], "ERR wrong number of arguments for 'scan' command"),
    ],
)
def test_an_invalid_scan_is_rejected(rest, options, error):
    assert rest.send("SCAN", *options) == error
