// SPDX-License-Identifier: MIT
//
// The codecs that KafkaJS leaves to others: snappy in the framing of Kafka's Java client, lz4, zstd.
'use strict';

const { CompressionTypes, CompressionCodecs } = require('kafkajs');
const snappy = require('snappyjs');
const lz4 = require('lz4js');
const zstd = require('@mongodb-js/zstd');

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
const BLOCK = 32768;

function snappyEncode(buffer) {
  const parts = [XERIAL];
  for (let at = 0; at < buffer.length; at += BLOCK) {
    const block = Buffer.from(snappy.compress(buffer.subarray(at, at + BLOCK)));
    const size = Buffer.alloc(4);
    size.writeInt32BE(block.length);
    parts.push(size, block);
  }
  return Buffer.concat(parts);
}

function snappyDecode(buffer) {
  if (!buffer.subarray(0, 8).equals(XERIAL.subarray(0, 8))) return Buffer.from(snappy.uncompress(buffer));
  const parts = [];
  for (let at = 16; at < buffer.length;) {
    const size = buffer.readInt32BE(at);
    parts.push(Buffer.from(snappy.uncompress(buffer.subarray(at + 4, at + 4 + size))));
    at += 4 + size;
  }
  return Buffer.concat(parts);
}

// The library's own frames have linked blocks, which Kafka refuses; so the frame is made here: no
// checksums, independent blocks of 64 KiB, a block that does not shrink as it is.
function lz4Encode(buffer) {
  const parts = [Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])];
  const out = lz4.makeBuffer(lz4.compressBound(65536));
  for (let at = 0; at < buffer.length; at += 65536) {
    const block = Uint8Array.from(buffer.subarray(at, at + 65536));
    const length = lz4.compressBlock(block, out, 0, block.length, new Uint32Array(65536));
    const shrunk = length > 0 && length < block.length;
    const size = Buffer.alloc(4);
    size.writeUInt32LE(shrunk ? length : (block.length | 0x80000000) >>> 0);
    parts.push(size, Buffer.from(shrunk ? out.slice(0, length) : block));
  }
  parts.push(Buffer.alloc(4));
  return Buffer.concat(parts);
}

function install() {
  CompressionCodecs[CompressionTypes.Snappy] = () => ({
    compress: async (encoder) => snappyEncode(encoder.buffer),
    decompress: async (buffer) => snappyDecode(buffer),
  });
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder) => lz4Encode(encoder.buffer),
    decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
  });
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: (encoder) => zstd.compress(encoder.buffer),
    decompress: (buffer) => zstd.decompress(buffer),
  });
}

module.exports = { install };
