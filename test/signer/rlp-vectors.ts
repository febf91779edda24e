/**
 * Published vectors.
 * - RLP: github.com/ethereum/tests (MIT), RLPTests/rlptest.json at 0d2c026f and RLPTests/invalidRLPTest.json at 16806bfc;
 *   texts as hex, the two longest lists left out.
 * - EIP-1559: github.com/ethereumjs/ethereumjs-monorepo (MPL-2.0 project, values only), packages/tx/test/json/eip1559.json
 *   at 052242cc, without the string header around the signed bytes.
 */
type Plain = string | readonly Plain[];
const text = (ascii: string) => Buffer.from(ascii, 'ascii').toString('hex');
const row = ['asdf', 'qwer', 'zxcv'].map(text);
const lorem = 'Lorem ipsum dolor sit amet, consectetur adipisicing eli';

export const validRlp: readonly { readonly name: string; readonly item: Plain; readonly encoded: string }[] =
  [
    { name: 'emptystring', item: '', encoded: '80' },
    { name: 'bytestring00', item: '00', encoded: '00' },
    { name: 'bytestring01', item: '01', encoded: '01' },
    { name: 'bytestring7F', item: '7f', encoded: '7f' },
    { name: 'shortstring', item: text('dog'), encoded: '83646f67' },
    { name: 'shortstring2', item: text(lorem), encoded: `b7${text(lorem)}` },
    { name: 'longstring', item: text(`${lorem}t`), encoded: `b838${text(`${lorem}t`)}` },
    { name: 'mediumint1', item: '80', encoded: '8180' },
    { name: 'mediumint2', item: '03e8', encoded: '8203e8' },
    { name: 'mediumint3', item: '0186a0', encoded: '830186a0' },
    {
      name: 'mediumint4',
      item: '102030405060708090a0b0c0d0e0f2',
      encoded: '8f102030405060708090a0b0c0d0e0f2',
    },
    {
      name: 'mediumint5',
      item: '0100020003000400050006000700080009000a000b000c000d000e01',
      encoded: '9c0100020003000400050006000700080009000a000b000c000d000e01',
    },
    { name: 'emptylist', item: [], encoded: 'c0' },
    { name: 'stringlist', item: ['dog', 'god', 'cat'].map(text), encoded: 'cc83646f6783676f6483636174' },
    { name: 'multilist', item: [text('zw'), ['04'], '01'], encoded: 'c6827a77c10401' },
    {
      name: 'shortListMax1',
      item: [...row, ...row, ...row, text('asdf'), text('qwer')],
      encoded:
        'f784617364668471776572847a78637684617364668471776572847a78637684617364668471776572847a78637684617364668471776572',
    },
    {
      name: 'longList1',
      item: [row, row, row, row],
      encoded: `f840${'cf84617364668471776572847a786376'.repeat(4)}`,
    },
    {
      name: 'longList2',
      item: Array.from({ length: 32 }, () => row),
      encoded: `f90200${'cf84617364668471776572847a786376'.repeat(32)}`,
    },
    { name: 'listsoflists', item: [[[], []], []], encoded: 'c4c2c0c0c0' },
    { name: 'listsoflists2', item: [[], [[]], [[], [[]]]], encoded: 'c7c0c1c0c3c0c1c0' },
    {
      name: 'dictTest1',
      item: [1, 2, 3, 4].map((n) => [text(`key${n}`), text(`val${n}`)]),
      encoded: 'ecca846b6579318476616c31ca846b6579328476616c32ca846b6579338476616c33ca846b6579348476616c34',
    },
    { name: 'bigint', item: `01${'00'.repeat(32)}`, encoded: `a101${'00'.repeat(32)}` },
  ];

const counting = Array.from({ length: 64 }, (_, i) => i.toString(16).padStart(2, '0')).join('');
export const invalidRlp: readonly { readonly name: string; readonly encoded: string }[] = [
  { name: 'int32Overflow', encoded: 'bf0f000000000000021111' },
  { name: 'int32Overflow2', encoded: 'ff0f000000000000021111' },
  { name: 'wrongSizeList', encoded: 'f80180' },
  { name: 'wrongSizeList2', encoded: 'f80100' },
  {
    name: 'incorrectLengthInArray',
    encoded: 'b9002100dc2b275d0f74e8a53e6f4ec61b27f24278820be3f82ea2110e582081b0565df0',
  },
  {
    name: 'randomRLP',
    encoded:
      'f861f83eb9002100dc2b275d0f74e8a53e6f4ec61b27f24278820be3f82ea2110e582081b0565df027b90015002d5ef8325ae4d034df55d4b58d0dfba64d61ddd17be00000b9001a00dae30907045a2f66fa36f2bb8aa9029cbb0b8a7b3b5c435ab331',
  },
  { name: 'bytesShouldBeSingleByte00', encoded: '8100' },
  { name: 'bytesShouldBeSingleByte01', encoded: '8101' },
  { name: 'bytesShouldBeSingleByte7F', encoded: '817f' },
  { name: 'leadingZerosInLongLengthArray1', encoded: `b90040${counting}` },
  { name: 'leadingZerosInLongLengthArray2', encoded: 'b800' },
  { name: 'leadingZerosInLongLengthList1', encoded: `fb00000040${counting}` },
  { name: 'leadingZerosInLongLengthList2', encoded: 'f800' },
  { name: 'nonOptimalLongLengthArray1', encoded: 'b81000112233445566778899aabbccddeeff' },
  { name: 'nonOptimalLongLengthArray2', encoded: 'b801ff' },
  { name: 'nonOptimalLongLengthList1', encoded: 'f810000102030405060708090a0b0c0d0e0f' },
  { name: 'nonOptimalLongLengthList2', encoded: 'f803112233' },
];

export const eip1559Vectors = [
  {
    nonce: 819n,
    value: 43203529n,
    gasLimit: 35552n,
    maxPriorityFeePerGas: 75853n,
    maxFeePerGas: 121212n,
    signed:
      '02f870821e8e8203338301284d8301d97c828ae094000000000000000000000000000000000000aaaa8402933bc980c080a0d067f2167008c59219652f91cbf8788dbca5f771f6e91e2b7657e85b78b472e0a01d305af9fe81fdba43f0dfcd400ed24dcace0a7e30d4e85701dcaaf484cd079e',
  },
  {
    nonce: 353n,
    value: 61901619n,
    gasLimit: 32593n,
    maxPriorityFeePerGas: 38850n,
    maxFeePerGas: 136295n,
    signed:
      '02f86f821e8e8201618297c283021467827f5194000000000000000000000000000000000000aaaa8403b08b3380c001a004205678f13fc1d7b10feea6513dfa76e24418b6e08097d95c6f93a3b64e536da01d45ad61bfece43862de2cce7d2575a8c1d08c26c87f3cb5f26d7b0be54a91b2',
  },
  {
    nonce: 119n,
    value: 65456115n,
    gasLimit: 62341n,
    maxPriorityFeePerGas: 24721n,
    maxFeePerGas: 107729n,
    signed:
      '02f86d821e8e778260918301a4d182f38594000000000000000000000000000000000000aaaa8403e6c7f380c001a0e38e239770801eb995498c821e55ac9c19ae09184bb27b34be105e02fe3b7615a067c64ca6bd6d9107e85fd581ab2e70a14b637eb36505bb40861ef9d6e800cab6',
  },
] as const;
