"""Inputs of the fuzz targets, good and hostile, from which a fuzzer starts and which every test run replays.

python make_corpus.py   (into corpus/, beside this file; the pickles are those of tests/golden/pt)
"""

import io
import json
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "pt"


def write(target, name, content):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def make_safetensors():
    dtypes = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
              "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
              "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for dtype, bits in dtypes.items():
        header[dtype] = entry(dtype, [4, 2], place, place + bits)
        place += bits
    two = {"a": entry("U8", [2], 0, 2), "b": entry("F32", [], 2, 6)}
    cases = {
        "dtypes": safetensors(header, bytes(place)), "two": safetensors(two, bytes(6)), "none": safetensors(b"{}"),
        "spaces": safetensors(b"{}   "), "cut": safetensors(two, bytes(5)), "trailing": safetensors(two, bytes(7)),
        "hole": safetensors({"a": entry("U8", [1], 1, 2)}, bytes(2)),
        "overlap": safetensors({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, bytes(3)),
        "reversed": safetensors({"a": entry("U8", [2], 2, 0)}, bytes(2)),
        "overflow": safetensors({"a": entry("F32", [1 << 62, 1 << 62], 0, 0)}),
        "overflow_empty": safetensors({"a": entry("F32", [1 << 62, 1 << 62, 0], 0, 0)}),
        "negative": safetensors({"a": entry("F32", [-1], 0, 0)}), "float": safetensors({"a": entry("F32", [1.5], 0, 0)}),
        "big": safetensors(b'{"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,0]}}'),
        "half_byte": safetensors({"a": entry("F4", [3], 0, 1)}, bytes(1)), "array": safetensors(b"[]"),
        "twice": safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                             b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        "metadata_number": safetensors({"__metadata__": {"a": 1}}), "not_utf8": safetensors(b'{"\xff":1}'),
        "deep": safetensors(b'{"a":{"x":' + b"[" * 500), "leading_space": safetensors(b" {}"), "short": b"\x00" * 7,
        "long_header": safetensors(b"{}", length=1 << 63), "past_end": safetensors(b"{}", length=100),
        "unknown_dtype": safetensors({"a": entry("F33", [1], 0, 4)}, bytes(4)),
        "unknown_keys": safetensors({"a": {**entry("U8", [1], 0, 1), "x": [{"y": None}]}}, bytes(1)),
    }
    for name, content in cases.items():
        write("safetensors", name, content)


def npy(text, data=b"", version=(1, 0)):
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text.encode() + data


def make_npy():
    def header(descr="<f4", order="False", shape="(2, 3)"):
        return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n"
    cases = {
        "f4": npy(header(), bytes(24)), "f2": npy(header("<f2"), bytes(12)), "f8": npy(header("<f8"), bytes(48)),
        "version2": npy(header(), bytes(24), (2, 0)), "version3": npy(header(), bytes(24), (3, 0)),
        "version9": npy(header(), bytes(24), (9, 0)), "scalar": npy(header(shape="()"), bytes(4)),
        "one": npy(header(shape="(1,)"), bytes(4)), "empty": npy(header(shape="(0, 7)")), "cut": npy(header(), bytes(23)),
        "big_endian": npy(header(">f4"), bytes(24)), "objects": npy(header("|O"), bytes(24)),
        "fortran": npy(header(order="True"), bytes(24)), "negative": npy(header(shape="(-1,)")),
        "overflow": npy(header(shape="(9223372036854775807, 2)")), "many": npy(header(shape="(" + "1," * 70 + ")"), bytes(4)),
        "code": npy(header()[:-1] + "; import os\n", bytes(24)), "twice": npy("{'shape': (), 'shape': ()}"),
        "records": npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), "magic": b"\x93NUMPY",
    }
    for name, content in cases.items():
        write("npy", name, content)


def stored(records):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in records:
            archive.writestr(zipfile.ZipInfo(name), value)
    return content.getvalue()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(storage="FloatStorage", key="2", elements=4, offset=0, shape=(2, 2), strides=(2, 1), end=b""):
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + f"ctorch\n{storage}\n".encode() + text(key) +
            text("cpu") + number(elements) + b"tQ" + number(offset) + numbers(shape) + numbers(strides) + b"\x89N" + end +
            b"tR")


def state(value, name="w"):
    return b"\x80\x02}" + text(name) + value + b"s."


def pickles():
    for path in sorted(GOLDEN.iterdir()):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith("/data.pkl"):
                        yield path.name, archive.read(name)
    most = (1 << 63) - 1
    yield from {
        "good": state(tensor()), "os_system": b"\x80\x02cos\nsystem\nU\x02id\x85R.",
        "os_system_beside": b"\x80\x02}" + text("x") + b"cos\nsystem\nU\x02id\x85Rs" + text("state_dict") + state(tensor())[2:-1] + b"s.",
        "setitem_list": b"\x80\x02]K\x01K\x02s.", "setitem_tensor": b"\x80\x02" + tensor() + b"NNs.",
        "setitems_storage": b"\x80\x02K\x01Q(NNu.", "long_storage": state(tensor(elements=5)),
        "huge_storage": state(tensor(elements=most)), "negative_storage": state(tensor(elements=-1)),
        "past_end": state(tensor(offset=1)), "negative_offset": state(tensor(offset=-1)),
        "negative_stride": state(tensor(strides=(-2, 1))), "negative_size": state(tensor(shape=(-2, 2))),
        "size_overflow": state(tensor(shape=(1 << 32, 1 << 32, 0), strides=(0, 0, 0))),
        "stride_overflow": state(tensor(strides=(most, most))), "many_axes": state(tensor(shape=(1,) * 65, strides=(1,) * 65)),
        "expanded": state(tensor(shape=(1 << 60,), strides=(0,))), "bad_dtype": state(tensor(storage="QInt8Storage")),
        "no_record": state(tensor(key="99")), "twice": b"\x80\x02}" + (text("w") + tensor() + b"s") * 2 + b".",
        "underflow": b"\x80\x02\x87.", "mark": b"\x80\x02(", "memo": b"\x80\x02h\x05.", "memo_big": b"\x80\x02Nr\xff\xff\xff\xff.",
        "string_2gib": b"\x80\x02X\xff\xff\xff\x7f.", "bytes_huge": b"\x80\x04\x8e" + b"\xff" * 8 + b".",
        "frame_huge": b"\x80\x04\x95" + b"\xff" * 8 + b".", "itself": state(b"]q\x01h\x01a"),
        "itself_dict": b"\x80\x02}q\x01" + text("a") + b"h\x01s.", "deep": state(b"]" * 300 + b"a" * 299),
        "doubling": state(b"]q\x01" + b"".join(b"0](h" + bytes([i, 104, i]) + b"eq" + bytes([i + 1]) for i in range(1, 90))),
        "protocol1": b"\x80\x01N.", "protocol0": b"(lp0\n.", "opcode": b"\x80\x02i.", "no_stop": b"\x80\x02N",
        "after_stop": b"\x80\x02N.N.", "surrogate": b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.",
        "set_of_key": b"\x80\x04}\x8f(K\x01\x90Ns.", "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93)R.",
        "newobj_ex": b"\x80\x04cos\nsystem\n)}\x92.", "call_of_call": b"\x80\x02cos\nsystem\n)R)R.",
    }.items()


def make_pt():
    for name, content in pickles():
        write("pickle", name, content)
    good = [("a/data.pkl", state(tensor(key="0"))), ("a/data/0", bytes(16)), ("a/byteorder", b"little")]
    whole = stored(good)
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in good:
            archive.writestr(zipfile.ZipInfo(name), value, compress_type=zipfile.ZIP_DEFLATED)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a/data.pkl"), bytes(1 << 20), compress_type=zipfile.ZIP_DEFLATED)
    end = whole.rindex(b"PK\x05\x06")
    directory_begin, = struct.unpack_from("<I", whole, end + 16)
    wide_end = struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, 3, 3, end - directory_begin, directory_begin)
    locator = struct.pack("<IIQI", 0x07064b50, 0, end, 1)
    narrow_end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)
    cases = {
        "good": whole, "deflated": deflated.getvalue(), "bomb": bomb.getvalue(), "cut": whole[:-5], "commented": whole + b"x",
        "zip64": whole[:end] + wide_end + locator + narrow_end,
        "zip64_far": whole[:end] + wide_end + struct.pack("<IIQI", 0x07064b50, 0, 1 << 60, 1) + narrow_end,
        "checksum": whole.replace(bytes(16), bytes(15) + b"x", 1), "two_pickles": stored(good + [("b/data.pkl", b"")]),
        "absolute": stored([("/a/data.pkl", b"")]), "dots": stored([("../data.pkl", b"")]), "no_pickle": stored([("a", b"")]),
        "big_endian": stored(good[:2] + [("a/byteorder", b"big")]), "script": stored(good + [("a/constants.pkl", b"")]),
        "directory_far": whole[:end + 16] + b"\xff\xff\xff\x7f" + whole[end + 20:],
        "many_entries": whole[:end + 8] + b"\xfe\xff\xfe\xff" + whole[end + 12:],
        "legacy": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "tar": bytes(257) + b"ustar" + bytes(250), "nothing": b"",
        "deflate_garbage": stored(good).replace(b"\x00\x00\x00\x00!\x00", b"\x08\x00\x00\x00!\x00"),
    }
    for name, content in cases.items():
        write("pt", name, content)
    for name in ("views.pt", "linear_protocol4.pt", "deflated.pt"):
        write("pt", name, (GOLDEN / name).read_bytes())


if __name__ == "__main__":
    make_safetensors()
    make_npy()
    make_pt()
