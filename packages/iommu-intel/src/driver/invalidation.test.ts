import { bdf } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import {
  ALL_CONTEXTS,
  ALL_TRANSLATIONS,
  contextOf,
  descriptorOf,
  translationsOf,
  waitDescriptor,
} from './invalidation.ts'

const both = { writeDraining: true, readDraining: true }
const neither = { writeDraining: false, readDraining: false }

describe('descriptors, word by word', () => {
  test('context cache, global', () => {
    expect(descriptorOf(ALL_CONTEXTS, both)).toEqual([0x11, 0, 0, 0])
  })
  test('context cache, one device: domain id in 31:16, source id in 47:32', () => {
    expect(descriptorOf(contextOf(0x1234, bdf(4, 3, 1)), both)).toEqual([0x1234_0031, 0x0419, 0, 0])
  })
  test('IOTLB, global, with both drains', () => {
    expect(descriptorOf(ALL_TRANSLATIONS, both)).toEqual([0xd2, 0, 0, 0])
  })
  test('IOTLB, one domain, a unit without draining', () => {
    expect(descriptorOf(translationsOf(7), neither)).toEqual([0x0007_0022, 0, 0, 0])
  })
  test('IOTLB, pages: address mask in 5:0, hint in 6, address from 12 on', () => {
    const pages = {
      kind: 'iotlb',
      what: 'pages',
      domain: 2,
      iova: 0x8000_4020_0000n,
      order: 9,
      leafOnly: true,
    } as const
    expect(descriptorOf(pages, both)).toEqual([0x0002_00f2, 0, 0x4020_0049, 0x8000])
    expect(descriptorOf({ ...pages, leafOnly: false }, both)[2]).toBe(0x4020_0009)
  })
  test('a domain id of 16 bits fills the word', () => {
    expect(descriptorOf(translationsOf(0xffff), neither)).toEqual([0xffff_0022 | 0, 0, 0, 0])
  })
  test('wait: status write, data in 63:32, status address in the second half', () => {
    expect(waitDescriptor(0x12_3456_7008, 2)).toEqual([0x25, 2, 0x3456_7008, 0x12])
  })
})
