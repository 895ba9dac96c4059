meta:
  id: aef
  title: aeformat container, version 1.1
  file-extension: aef
  endian: le
doc: |
  The framing of container.md, sections 2, 4, 8 and 9: where everything is. Checksums, order and counts are not checked.
  Of the header (canonical msgpack, header.cddl) only its first two keys are read, which say whether payloads are aligned.
seq:
  - id: preamble
    type: preamble
  - id: header
    type: header
    size: preamble.header_len
  - id: chunks
    type: chunk_or_trailer
    repeat: until
    repeat-until: _.is_trailer
types:
  preamble:
    seq:
      - id: magic
        contents: [0x89, 0x41, 0x45, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]
      - id: major
        type: u1
        valid: 1
      - id: minor
        type: u1
      - id: flags
        type: u2
        valid:
          expr: _ & 0xffe8 == 0
        doc: bit 0 says that rows have sizes of their own (section 5.1), bit 1 that the decoder is no package or not known, bit 2 that a model package is of version 1.1, bit 4 that the header says what the latents are; with minor 0 no bit is set (C2-4)
      - id: header_len
        type: u4
        valid:
          min: 1
          max: 65536
      - id: header_crc
        type: u4
      - id: preamble_crc
        type: u4
  header:
    seq:
      - id: n_keys
        type: u1
        doc: 0x80 plus the number of keys
      - id: byte_order_key
        contents: [0xaa, "byte_order"]
      - id: byte_order
        type: short_string
      - id: codec_key
        contents: [0xa5, "codec"]
      - id: codec
        type: short_string
      - id: rest
        size-eos: true
  short_string:
    seq:
      - id: head
        type: u1
      - id: text
        type: str
        size: head & 0x1f
        encoding: UTF-8
  chunk_or_trailer:
    seq:
      - id: tag
        type: str
        size: 4
        encoding: ASCII
      - id: chunk
        type: chunk(tag)
        if: not is_trailer
      - id: trailer
        type: trailer
        if: is_trailer
    instances:
      is_trailer:
        value: tag == "TAIL"
  chunk:
    doc: What follows the tag.
    params:
      - id: tag
        type: str
    seq:
      - id: n_rows
        type: u4
      - id: first_row
        type: u8
      - id: stored_len
        type: u4
      - id: raw_len
        type: u4
      - id: payload_crc
        type: u4
      - id: chunk_crc
        type: u4
      - id: padding
        size: "is_aligned ? (64 - _root._io.pos % 64) % 64 : 0"
      - id: payload
        size: stored_len
        if: tag != "iNDX" and tag != "SIZE"
      - id: sizes
        type: u4
        repeat: expr
        repeat-expr: stored_len / 4
        if: tag == "SIZE"
        doc: entries of a number of rows and their free sizes; how many those are is said by the zeros of dims and image
      - id: index
        type: index_entry
        repeat: expr
        repeat-expr: stored_len / 24
        if: tag == "iNDX"
    instances:
      is_aligned:
        value: (tag == "TENS" or tag == "ROWS") and _root.header.byte_order.text == "little" and _root.header.codec.text == "none"
        doc: byte_order is "little" in model packages and where values are binary and wider than one byte (C3-10, C4-9)
  index_entry:
    seq:
      - id: at
        type: u8
      - id: first_row
        type: u8
      - id: n_rows
        type: u4
      - id: number
        type: u4
  trailer:
    doc: What follows the tag.
    seq:
      - id: n_chunks
        type: u4
      - id: n_rows
        type: u8
      - id: index_at
        type: u8
      - id: chain_crc
        type: u4
      - id: content_id
        size: 32
      - id: trailer_crc
        type: u4
